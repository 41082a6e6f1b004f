"""Playground: a question through Envoy, and beside its answer everything that the router did for it."""

import asyncio
from collections.abc import Mapping
from typing import Final

from nicegui import ui

from router_extproc.page.design import (
    block,
    card,
    chip,
    empty,
    main_button,
    pairs,
    problem,
    quiet_button,
    words,
)
from router_extproc.page.envoy import Asked, Began, Ended, Piece
from router_extproc.page.frame import Board, for_signed_in, framed
from router_extproc.page.paced import Paced
from router_extproc.page.parts import Parts
from router_extproc.page.router import ApiError
from router_extproc.page.sessions import Person
from router_extproc.page.shown import playground as shown
from router_extproc.page.shown.words import millis

KEPT: Final = 8
"""Answers that stay on the page."""

HINT: Final = "Ask the same again, or in other words, to see the cache answer."
EXAMPLES: Final = (
    "What are the main renewable energy sources?",
    "Which sources of renewable energy are the most important?",
    "Differentiate x squared times the sine of x.",
    "Who was the first emperor of Rome?",
)


def playground(parts: Parts) -> None:
    note = "Ask through Envoy as a client does"
    with framed(parts, "playground", "Playground", note) as person:
        for_signed_in(parts, person, "playground", lambda: Playground(parts, person).build())


class Playground:
    """The question's form, and the answers below it."""

    def __init__(self, parts: Parts, person: Person) -> None:
        self._parts = parts
        self._person = person

    def build(self) -> None:
        self._board = Board()
        with card("Question"):
            with block("grid beside"):
                with block("stack"):
                    self._ask_field()
                with block("stack"):
                    self._as_whom()
            with block("line"):
                self._send = main_button("Ask", self._ask, "send")
                words("span", HINT, "muted small")
        self._answers = block("stack").style("gap: 1rem")
        with block("card") as self._nothing:
            empty("chat", "No answer yet", "It streams in here, and beside it is what the router did.")
        ui.timer(0.1, self._models, once=True)

    def _ask_field(self) -> None:
        self._question = ui.textarea(value=EXAMPLES[0]).props(
            'outlined autogrow aria-label="Question" maxlength=16000'
        )
        self._question.on("keydown.ctrl.enter", self._ask)
        with block("line tight"):
            for example in EXAMPLES:
                button = quiet_button(example, lambda _, text=example: self._question.set_value(text))
                button.props("dense no-caps").classes("example")

    def _as_whom(self) -> None:
        with block("grid two"):
            self._model = ui.select({"auto": "auto"}, value="auto", label="Model")
            self._model.props("outlined dense options-dense")
            self._key = ui.input("Client's key", value="playground").props("outlined dense")
            self._key.tooltip("Sent as the bearer token: the cache keeps answers for whoever has it")
        self._system = ui.input("System prompt").props("outlined dense")

    async def _ask(self) -> None:
        await self._board.tried(self.ask)

    async def ask(self) -> None:
        """What is in the form. Raises ApiError for who has signed out since, here or in another tab."""
        if not self._parts.admits(self._person):
            raise ApiError(401, "UNAUTHORIZED", "you are not signed in any more", "Sign in to ask")
        text = str(self._question.value or "").strip()
        if not self._send.enabled:
            return  # one answer after the other
        if not text:
            self._question.run_method("focus")
            return
        self._nothing.set_visibility(False)
        self._send.disable()
        try:
            with self._answers:
                answer = _Answer(
                    Asked(
                        text,
                        str(self._model.value),
                        str(self._system.value or ""),
                        str(self._key.value or ""),
                    )
                )
            answer.place.move(self._answers, 0)
            await answer.stream(self._parts)
            for old in self._answers.default_slot.children[KEPT:]:
                old.delete()
        finally:
            self._send.enable()

    async def _models(self) -> None:
        try:
            said = await self._parts.router.get("/v1/models")
        except ApiError:
            return  # `auto` always works, and the bar says that the router is away
        names = [each["id"] for each in said["data"] if each["id"] not in ("auto", "MoM")]
        self._model.set_options({"auto": "auto", **{name: name for name in names}})


class _Answer:
    """One answer, from the moment it is asked for."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._headers: Mapping[str, str] = {}
        self._began: float | None = None
        self._first: float | None = None
        self._latest = 0.0
        with block("card", "article") as self.place:
            with block("head"):
                words("h2", asked.text if len(asked.text) <= 90 else asked.text[:89] + "…", "wrap")
                self._clock = words("span", "asking", "muted small num")
            self._chips = block("line tight")
            with block("grid beside"):
                with block("answer").props('tabindex=0 role=region aria-live=polite aria-label="Answer"'):
                    self._text = words("div", "", "wrap")
                with block("stack"):
                    self._told = block("stack")
                    self._fields = block("stack")

    async def stream(self, parts: Parts) -> None:
        text = Paced(self._grown, asyncio.get_running_loop().call_later)
        try:
            async for event in parts.envoy.ask(self._asked):
                if isinstance(event, Began):
                    self._begin(event)
                elif isinstance(event, Piece):
                    if self._first is None:
                        self._first = event.after
                    self._latest = event.after
                    text.add(event.text)
                else:
                    text.end()
                    self._end(event)
        except ApiError as error:
            text.end()
            self._clock.text = "failed"
            with self._told:
                problem(error)
        finally:
            text.end()

    def _grown(self, text: str) -> None:
        self._text.text = text
        self._clock.text = millis(self._latest)

    def _begin(self, event: Began) -> None:
        self._headers, self._began = event.headers, event.after
        with self._chips:
            for each in shown.chips(event.status, event.headers):
                chip(each.text, each.tone, each.icon)

    def _end(self, event: Ended) -> None:
        self._clock.text = millis(event.after)
        if event.cut:
            self._text.text += "\n\n(There is more than is shown here.)"
        if not self._text.text:
            self._text.text = "(an empty answer)"
        with self._told:
            with block("stack tight"):
                words("h3", "What the router did")
                pairs(shown.decision(self._headers))
            with block("stack tight"):
                words("h3", "Time")
                pairs(shown.timings(self._began, self._first, event.after, event.usage, self._headers))
        with self._fields, ui.expansion("Header fields", value=True):
            pairs(shown.fields(self._headers), "mono")

"""Examples, or sentences about a person, in the prompt instead of training: what any meta-learner has to be better than."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from metanlp.config.recipe import Evaluation
from metanlp.data.nearest import Nearest
from metanlp.data.split import TaskSplit
from metanlp.data.types import Episode, Prompt
from metanlp.encoding import Backbone, prompts_of
from metanlp.errors import UserError

PERSONA = "persona"


def prompts_with(way: str, family: Any, backbone: Backbone, episode: Episode, options: Evaluation) -> list[Prompt]:
    """The queries' prompts with what `way` puts into them: the latest support examples, as many as `fit`, the `nearest`
    ones, at most `options.shown`, or the `persona` sentences.

    Examples leave room for the real reply, and for one of `options.max_new_tokens`.
    """
    if way == PERSONA:
        return prompts_of(with_persona(family), episode, episode.query)
    if way == "nearest":
        nearest = Nearest([example.source for example in episode.support])
        ranked = [nearest.ranked(query.source)[: options.shown] for query in episode.query]
    else:
        latest = list(range(len(episode.support)))[::-1]
        ranked = [latest] * len(episode.query)

    def ask(query: int, count: int) -> Prompt:
        chosen = [episode.support[at] for at in ranked[query][:count][::-1]]  # the best stands last, beside the query
        return family.prompt_shown(episode.task, episode.info, episode.query[query], chosen)

    def too_long(prompts: Sequence[Prompt]) -> list[bool]:
        return backbone.cut(prompts, max_new_tokens=options.max_new_tokens)

    return _as_many_as_fit(ask, too_long, [len(each) for each in ranked])


def with_persona(family: Any) -> Any:
    """The family with its option `persona` on."""
    return family.model_copy(update={PERSONA: True})


def has_persona(family: Any, info: Any) -> bool:
    """Whether there are sentences about this person that the family could put into its prompts."""
    return PERSONA in type(family).model_fields and bool(info.get(PERSONA))


def people_with_persona(family: Any, split: TaskSplit, options: Evaluation) -> list[str]:
    """The tasks of people about whom there are sentences; UserError where something asked for needs some, and there are none."""
    known = [name for name in split.names if has_persona(family, split.info(name))]
    asking = [*(["prompting: [persona]"] if PERSONA in options.prompting else []), *(["nli"] if options.nli else [])]
    if asking and not known:
        raise UserError(
            f"evaluation.{' and '.join(asking)} needs persona sentences, and collection.yaml has none for any task of the split "
            f"{split.split} that the family {family.kind!r} would read"
        )
    return known


def _as_many_as_fit(
    ask: Callable[[int, int], Prompt], too_long: Callable[[Sequence[Prompt]], list[bool]], most: Sequence[int]
) -> list[Prompt]:
    """For each query the prompt with the largest number of examples of which nothing is cut off; halves the room each time."""
    low, high = [0] * len(most), list(most)
    while open_ := [query for query in range(len(most)) if low[query] < high[query]]:
        tried = {query: (low[query] + high[query] + 1) // 2 for query in open_}
        cut = too_long([ask(query, count) for query, count in tried.items()])
        for (query, count), over in zip(tried.items(), cut, strict=True):
            if over:
                high[query] = count - 1
            else:
                low[query] = count
    return [ask(query, count) for query, count in enumerate(low)]

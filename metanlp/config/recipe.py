"""What a recipe holds. Every field's help line is also its documentation and its comment in `metanlp show`."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from metanlp.config.languages import Additions
from metanlp.config.options import Options

Metric = Literal["chrF", "chrF++", "BLEU", "TER", "exact_match", "distinct-1", "distinct-2", "perplexity", "who_is_it"]
Registered = Any  # options of a registered class, which `build_recipe` has looked up and checked


class Train(Options):
    """How long, on what, and with which outer optimiser a stage trains."""

    steps: int = Field(1000, ge=0, description="outer steps; 0: fast weights that nothing has prepared")
    meta_batch: int = Field(8, ge=1, description="episodes (tasks drawn) in an outer step, over all processes")
    support: int = Field(20, ge=0, description="support examples of an episode, dealt out over the inner steps")
    query: int = Field(4, ge=1, description="query examples of an episode")
    temperature: float = Field(1.0, gt=0, description="tasks are drawn with p ~ size^(1/temperature); large = evenly")
    share: tuple[float, float] = Field(
        (0.0, 1.0), description="which part of the training tasks, in a fixed random order, this stage may draw from"
    )
    tasks_per_stack: int | None = Field(
        None,
        ge=1,
        description="tasks in one pass; empty: as many as the fast weights allow. Set it, and dropout "
        "is the same in any number of processes",
    )
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="outer optimiser")
    learning_rate: float = Field(1e-3, gt=0, description="outer learning rate at its highest")
    warmup: int = Field(0, ge=0, description="steps over which the learning rate rises from 0")
    decay: Literal["none", "linear", "cosine"] = Field("cosine", description="how the learning rate falls after that")
    weight_decay: float = Field(0.0, ge=0, description="weight decay of the outer optimiser")
    clip: float | None = Field(1.0, gt=0, description="the meta-gradient's largest norm; empty: not clipped")
    log_every: int = Field(10, ge=1, description="steps between lines in metrics.jsonl")
    validate_every: int = Field(0, ge=0, description="steps between measurements on validation tasks; 0: never")
    save_every: int = Field(500, ge=1, description="steps between checkpoints")

    @field_validator("share")
    @classmethod
    def _is_a_part(cls, share: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= share[0] < share[1] <= 1:
            raise ValueError(f"share is {list(share)}; it should be two fractions of the tasks, as [0, 0.5]")
        return share


class Adapting(Options):
    """How a trained start takes on one new task."""

    optimizer: Literal["sgd", "adam"] = Field("adam", description="inner optimiser, with a fresh state for every task")
    learning_rate: float = Field(1e-3, gt=0, description="its learning rate at the first step")
    decay: Literal["none", "linear"] = Field("linear", description="how the learning rate falls over the steps")
    steps: int = Field(100, ge=1, description="steps; `metanlp adapt` chooses at most this many on held-out examples")
    batch: int = Field(16, ge=1, description="examples in a step")
    clip: float | None = Field(1.0, gt=0, description="the largest norm of a task's gradient; empty: not clipped")


class TaskOptions(Options):
    """The base of a task family's options. A family says itself what has no default here."""

    pipeline_tag: ClassVar[str] = "text-generation"  # what the Hugging Face Hub calls what its models do
    usage: ClassVar[str]  # Python that uses an adaptation, for its model card
    intended: ClassVar[str]  # what an adaptation is for, and where it fails
    next_step: ClassVar[str]  # what to type next, of {run} and {name}

    def additions(self) -> Additions:
        """What a pretrained model's vocabulary lacks for these tasks; nothing, unless a family says otherwise."""
        return Additions()


class AlgorithmOptions(Options):
    """The base of an algorithm's options."""

    keeps_start: ClassVar[bool] = False  # whether the start stays as it is, and something else is learnt

    def problems_with(self, train: Train) -> list[str]:
        """What does not fit together between the algorithm and how it is to be trained, in sentences."""
        return []


class Stage(Options):
    """One training run: an algorithm from a start."""

    after: str | None = Field(
        None, description="the stage whose weights this one starts from; empty: the backbone's own"
    )
    fast_weights: Registered = Field(None, description="which weights this stage trains; empty: as the recipe says")
    algorithm: Registered = Field(
        description="joint, fomaml, reptile, learned_rates, or one of your own, with its options"
    )
    train: Train = Field(default_factory=Train, description="how it trains")
    adapting: Adapting | None = Field(None, description="how its result adapts; empty: as the recipe says")

    @model_validator(mode="after")
    def _algorithm_fits(self) -> Stage:
        if isinstance(self.algorithm, AlgorithmOptions) and (found := self.algorithm.problems_with(self.train)):
            raise ValueError("; ".join(found))
        return self


class Evaluation(Options):
    """What `metanlp evaluate` measures."""

    stages: list[str] = Field([], description="which stages; empty: the last one")
    shots: list[int] = Field(
        [0, 4, 16, 64],
        min_length=1,
        description="support examples; 0 is without adapting. A task with too few is left out there",
    )
    protocol: Literal["later", "leave_one_out"] = Field(
        "later",
        description="later: dialogues are judged on after those that are learnt from; leave_one_out: each dialogue in turn, "
        "after learning from `shots` of the others, or from all where there are fewer",
    )
    folds: int | None = Field(
        None, ge=1, description="how many dialogues of a task leave_one_out leaves out, at random; empty: each"
    )
    tasks: int | None = Field(
        None, ge=2, description="how many of the split's tasks are measured, the same ones every time; empty: all"
    )
    queries: int = Field(100, ge=1, description="query examples at most, of a task, or of each dialogue left out")
    seeds: list[int] = Field([0], min_length=1, description="each draws its own support and query examples")
    metrics: list[Metric] = Field(["chrF", "exact_match"], min_length=1, description="scores, the first ones first")
    among: int = Field(10, ge=2, description="tasks among whose adaptations `who_is_it` looks for the right one")
    prompting: list[Literal["fit", "nearest", "persona"]] = Field(
        [],
        description="rows of the untrained backbone with support examples in the prompt, as many as fit or the nearest "
        "ones, or with persona sentences",
    )
    shown: int = Field(5, ge=1, description="examples that `nearest` puts into a prompt, at most")
    prompt_length: int | None = Field(
        None, ge=8, description="longest prompt and reply of those rows, in pieces; empty: backbone.max_length"
    )
    nli: str = Field(
        "",
        description="a model of entailment, by Hub name or folder: measures `C`, how replies go with persona sentences",
    )
    others: int = Field(
        0, ge=0, description="training tasks on which to measure what adapting has cost them, as `chrF of others`"
    )
    beams: int = Field(1, ge=1, description="width of the beam search; 1 is greedy")
    max_new_tokens: int = Field(128, ge=1, description="longest output, in pieces")
    batch: int = Field(64, ge=1, description="sentences generated or judged at once")
    tasks_per_stack: int = Field(
        8,
        ge=1,
        description="tasks side by side, where the fast weights allow it; on a CPU, long batches adapt one after another",
    )

    @property
    def writes(self) -> bool:
        """Whether some metric is about texts that the model writes."""
        return bool(self.nli) or not {*self.metrics} <= {"perplexity", "who_is_it"}

    @field_validator("shots")
    @classmethod
    def _are_counts(cls, shots: list[int]) -> list[int]:
        if min(shots) < 0:
            raise ValueError(f"shots are {shots}; they are numbers of examples, 0 or more")
        return shots

    @model_validator(mode="after")
    def _protocol_fits(self) -> Evaluation:
        if self.protocol == "later" and self.folds is not None:
            raise ValueError("folds are for protocol leave_one_out; protocol later has one episode a task")
        if self.protocol == "leave_one_out" and "who_is_it" in self.metrics:
            raise ValueError("who_is_it needs protocol later, with one adaptation a task; leave_one_out makes several")
        return self


class Recipe(Options):
    """The complete, typed description of a run."""

    seed: int = Field(0, ge=0, description="every random draw is a function of it")
    task: Registered = Field(description="the task family and its data")
    backbone: Registered = Field(description="the pretrained transformer, or a small one from scratch")
    fast_weights: Registered = Field(description="which weights a task makes its own: full or lora")
    precision: Literal["fp32", "bf16"] = Field(
        "fp32",
        description="arithmetic of forward passes; weights stay fp32; `metanlp doctor` tells where bf16 saves no time",
    )
    gradient_checkpointing: bool = Field(False, description="less memory for a third more computing")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target spread over all pieces")
    trackers: list[str] = Field(
        ["tensorboard"], description="any of Accelerate's trackers by name; metrics.jsonl is always written"
    )
    stages: dict[str, Stage] = Field(
        min_length=1, description="trained in this order; the last one is the run's result"
    )
    adapting: Adapting = Field(default_factory=Adapting, description="how a trained start takes on a new task")
    evaluation: Evaluation = Field(default_factory=Evaluation, description="what `metanlp evaluate` measures")

    @model_validator(mode="after")
    def _stages_know_each_other(self) -> Recipe:
        earlier: list[str] = []
        for name, stage in self.stages.items():
            if stage.after is not None and stage.after not in earlier:
                raise ValueError(
                    f"stages.{name}.after is {stage.after!r}; earlier stages are {', '.join(earlier) or 'none'}"
                )
            if stage.after and stage.after == self.base_of(name) and _keeps_start(self.stages[stage.after]):
                raise ValueError(
                    f"stages.{name} has other fast weights than {stage.after}, so nothing of what {stage.after} learns would "
                    "reach it; give both the same fast weights"
                )
            earlier.append(name)
        for name in self.evaluation.stages:
            if name not in self.stages:
                raise ValueError(f"evaluation.stages names {name!r}; the stages are {', '.join(self.stages)}")
        return self

    def adapting_of(self, stage: str) -> Adapting:
        return self.stages[stage].adapting or self.adapting

    def fast_weights_of(self, stage: str) -> Any:
        return self.stages[stage].fast_weights or self.fast_weights

    def base_of(self, stage: str) -> str | None:
        """The stage whose finished model this stage's fast weights belong to; None: the backbone.

        A stage with the same fast weights as the one it comes after goes on with those; with others it starts anew, on
        what that one has made of the model.
        """
        after = self.stages[stage].after
        if after is None or self.fast_weights_of(after) != self.fast_weights_of(stage):
            return after
        return self.base_of(after)

    @property
    def result(self) -> str:
        """The stage whose weights are the run's result."""
        return list(self.stages)[-1]


def _keeps_start(stage: Stage) -> bool:
    return isinstance(stage.algorithm, AlgorithmOptions) and stage.algorithm.keeps_start

"""What a job's config.yaml may say: every option with its default and its meaning.

`torchgraft schema` and the README's table of options are made from these models (see config_docs.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from ..stages.base import Tolerance
from ..stages.fit import Fit, InputFit, OutputFit
from ..stages.fit.layout import check as check_layout
from ..stages.fit.names import DTYPES, LINEAR, LOSING, ORDER_KEEPING

_PYTHON_OBJECT = re.compile(r".+\.py:[A-Za-z_]\w*")

CustomObject: TypeAlias = Annotated[str, Field(pattern=r"^.+:[A-Za-z_][\w.]*$")]
Bound: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]
# YAML gives lists, which strict mode would refuse for a tuple.
Range: TypeAlias = Annotated[tuple[Bound, Bound], Field(strict=False)]


class Options(BaseModel):
    """A group of options: unknown ones are refused, types are not converted, values do not change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class OptionsOrText(Options):
    """A group that may be written as one text, which ``from_text`` reads."""

    @classmethod
    def from_text(cls, text: str) -> dict[str, Any]:
        """The text as the options that it stands for."""
        raise NotImplementedError

    @model_validator(mode="before")
    @classmethod
    def _accept_text(cls, value: Any) -> Any:
        return cls.from_text(value) if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string"}, handler(schema)]}


def _exactly_one(options: Options, *names: str) -> None:
    _exactly_one_of({name: getattr(options, name) for name in names})


def _exactly_one_of(values: Mapping[str, object]) -> None:
    given = [name for name, value in values.items() if value is not None]
    if len(given) != 1:
        raise ValueError(f"give exactly one of {', '.join(values)}, received {', '.join(given) or 'none'}")


def _file_or_factory(text: str) -> dict[str, Any]:
    return {"factory" if _PYTHON_OBJECT.fullmatch(text) else "file": text}


class ModelOptions(OptionsOrText):
    """The trained Keras model. As one text: a path, or `file.py:function`."""

    path: str | None = Field(
        None, min_length=1, description="A `.keras`, `.h5` or `.hdf5` file, or the folder of a SavedModel."
    )
    factory: str | None = Field(
        None,
        pattern=_PYTHON_OBJECT.pattern,
        description="`file.py:function`: called without arguments, gives the model.",
    )
    architecture: str | None = Field(
        None, min_length=1, description="A JSON file as `model.to_json()` writes it; needs `weights`."
    )
    weights: str | None = Field(
        None,
        min_length=1,
        description="The file that fills every variable of what `factory` or `architecture` builds.",
    )
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="What the file must hash to (that of `weights` where it is given); another file is refused.",
    )
    custom_objects: dict[str, CustomObject] = Field(
        default_factory=dict,
        description="Name of a class or function in the file → your own `file.py:Class` or `package.module:Class`.",
    )
    trust: bool = Field(
        False,
        description="Run code of the file's author (a Lambda, a SavedModel), in this job alone.",
    )
    signature: str = Field("serving_default", min_length=1, description="Which signature of a SavedModel.")

    @classmethod
    def from_text(cls, text: str) -> dict[str, Any]:
        kind, value = next(iter(_file_or_factory(text).items()))
        return {"path" if kind == "file" else kind: value}

    @model_validator(mode="after")
    def _one_source(self) -> ModelOptions:
        given = {"path": self.path, "factory": self.factory, "architecture": self.architecture}
        _exactly_one_of(given)
        if self.path and self.weights:
            raise ValueError("weights go with factory or architecture: path is a whole model")
        if self.architecture and not self.weights:
            raise ValueError("architecture has no weights: give weights, too")
        if self.sha256 and not (self.path or self.weights):
            raise ValueError("sha256 is that of a file: it does not go with factory alone")
        return self


class TargetOptions(OptionsOrText):
    """Your hand-written module. As one text: `file.py:Class` or `package.module:attribute`."""

    object: str = Field(
        pattern=r"^.+:[A-Za-z_][\w.]*$",
        description="`file.py:Class` or `package.module:attribute`: a class, a function or a module.",
    )
    kwargs: dict[str, JsonValue] = Field(default_factory=dict, description="Passed to the class or function.")

    @classmethod
    def from_text(cls, text: str) -> dict[str, Any]:
        return {"object": text}


class GenerateOptions(Options):
    """Random inputs by each input's dtype and shape."""

    samples: int = Field(16, ge=1, description="How many.")
    range: Range = Field((-1.0, 1.0), description="Lowest and highest value of the floating inputs, uniform.")
    ranges: dict[str, Range] = Field(
        default_factory=dict,
        description="Input name → its own range; an integer input needs one, unless it feeds an Embedding.",
    )
    seed: int | None = Field(None, ge=0, description="Of these inputs; `seed` of the job where not given.")

    @model_validator(mode="after")
    def _ordered(self) -> GenerateOptions:
        for name, (low, high) in {"range": self.range, **self.ranges}.items():
            if low >= high:
                raise ValueError(f"{name} goes from {low:g} to {high:g}: the first must be smaller")
        return self


class InputsOptions(OptionsOrText):
    """What the three runtimes are compared on. As one text: a file, or `file.py:function`."""

    file: str | None = Field(
        None,
        pattern=r".+\.np[yz]$",
        description="A `.npy`, or an `.npz` with one array for each input, by its Keras name.",
    )
    factory: str | None = Field(
        None, pattern=_PYTHON_OBJECT.pattern, description="`file.py:function`: gives one array, or name → array."
    )
    generate: GenerateOptions | None = Field(None, description="Done also where `inputs` is left out.")

    @classmethod
    def from_text(cls, text: str) -> dict[str, Any]:
        return _file_or_factory(text)

    @model_validator(mode="after")
    def _one_source(self) -> InputsOptions:
        _exactly_one(self, "file", "factory", "generate")
        return self


class LabelsOptions(OptionsOrText):
    """Class labels of the inputs, for the accuracies. As one text: a file, or `file.py:function`."""

    file: str | None = Field(
        None, pattern=r".+\.np[yz]$", description="A `.npy` of integers, or the `.npz` that has them under `labels`."
    )
    factory: str | None = Field(
        None, pattern=_PYTHON_OBJECT.pattern, description="`file.py:function`: gives that array."
    )

    @classmethod
    def from_text(cls, text: str) -> dict[str, Any]:
        return _file_or_factory(text)

    @model_validator(mode="after")
    def _one_source(self) -> LabelsOptions:
        _exactly_one(self, "file", "factory")
        return self


class ToleranceOptions(Options):
    """Two arrays agree where `max|a - b| <= atol + rtol * max|b|`, b the Keras side.

    What is left out follows from the coarsest type that Keras or the module computes in, and is printed.
    """

    atol: float | None = Field(
        None, ge=0, allow_inf_nan=False, description=f"Absolute part; {Tolerance.atol:g} for float32."
    )
    rtol: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description=f"Part relative to the largest Keras value; {Tolerance.rtol:g} for float32.",
    )


class OutputOptions(OptionsOrText):
    """Where the files go. As one text: the folder."""

    folder: str = Field(
        min_length=1, description="Created where it is missing; `runs/<name>` beside the config by default."
    )

    @classmethod
    def from_text(cls, text: str) -> dict[str, Any]:
        return {"folder": text}


# `place: 0` is the first of a tuple: a number in YAML, a place like any other here.
Place: TypeAlias = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    WithJsonSchema({"type": ["string", "integer"]}),
]
Layout: TypeAlias = Annotated[str, AfterValidator(check_layout)]


class InputFitOptions(OptionsOrText):
    """What one argument of forward takes. As one text: the value."""

    value: str | None = Field(
        None, description="A Keras input; or the Keras layer, in front of the first trained one, whose value it takes."
    )
    layout: Layout | None = Field(
        None, description="From the Keras array to the argument, as einops writes it: `n h w c -> n c h w`."
    )
    dtype: Literal[DTYPES] | None = Field(None, description="torch's; integers are `int64` by default.")  # type: ignore[valid-type]
    inverted: bool | None = Field(
        None,
        description="True where the value is 0: `key_padding_mask` marks what is padding, a mask of Keras what is not.",
    )

    @classmethod
    def from_text(cls, text: str) -> dict[str, Any]:
        return {"value": text}


class OutputFitOptions(OptionsOrText):
    """What the module gives for one Keras output. As one text: the place."""

    place: Place | None = Field(
        None, description="In what forward returns: a key or a number (`logits`, `0`, `aux.1`); `''`: all of it."
    )
    layout: Layout | None = Field(
        None, description="From the module's tensor to the Keras array: `n c h w -> n h w c`."
    )
    activation: Literal[(LINEAR, *ORDER_KEEPING, *LOSING)] | None = Field(  # type: ignore[valid-type]
        None, description="Makes Keras' value of the module's: `softmax` where the module gives logits."
    )
    keras_activation: Literal[ORDER_KEEPING] | None = Field(  # type: ignore[valid-type]
        None, description="Makes the module's value of Keras': `softmax` where Keras gives logits."
    )
    value: str | None = Field(
        None,
        description="The Keras layer whose value it gives: no weight follows in Keras, or it is meant to end there.",
    )

    @classmethod
    def from_text(cls, text: str) -> dict[str, Any]:
        return {"place": text}


class FitOptions(Options):
    """How your module takes Keras' inputs and gives Keras' outputs. What is not stated is found, and written in
    `summary.txt` as lines to paste here; what is stated is checked.
    """

    inputs: dict[str, InputFitOptions] = Field(
        default_factory=dict,
        title="ARGUMENT",
        description="By argument, in their order; `x.key` and `x.0` where one argument takes a dict, a list or `*x`.",
    )
    outputs: dict[str, OutputFitOptions] = Field(
        default_factory=dict, title="OUTPUT", description="By the name of the Keras output."
    )
    options: dict[str, JsonValue] = Field(
        default_factory=dict, description="What else forward is called with: `use_cache: false`."
    )

    def stated(self) -> Fit:
        """As the stages take it."""
        return Fit(
            {name: InputFit(**entry.model_dump()) for name, entry in self.inputs.items()},
            {name: OutputFit(**entry.model_dump()) for name, entry in self.outputs.items()},
            self.options,
        )


class LimitOptions(Options):
    """When a job is ended."""

    seconds: float = Field(3600.0, gt=0, allow_inf_nan=False, description="Wall time of one job.")
    memory_gb: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Resident memory of a job's own process, in 1e9 bytes; none by default.",
    )


class JobOptions(Options):
    """One job: a Keras model, the module that shall have its weights, and how they are compared."""

    name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Of the job; the file's name by default, or the folder's where the file is `config.yaml`.",
    )
    model: ModelOptions
    target: TargetOptions | None = Field(
        None, description="Left out: the module that onnx2torch imports is the result."
    )
    hints: dict[str, str] = Field(
        default_factory=dict,
        description="Key or module path → Keras variable or layer path; what `*` and `**` stand for is carried over. "
        "`plan: runs/x/plan.json`: as an earlier run. Decides what values leave open; a wrong one is contradicted.",
    )
    allow_unmatched: list[str] = Field(
        default_factory=list,
        description="Keys (`head.*`, or `head`) that keep your module's own values; what they read is compared.",
    )
    fit: FitOptions = Field(default_factory=FitOptions)
    inputs: InputsOptions = Field(default_factory=lambda: InputsOptions(generate=GenerateOptions()))
    labels: LabelsOptions | None = None
    tolerance: ToleranceOptions = Field(default_factory=ToleranceOptions)
    probe_samples: int = Field(4, ge=1, description="How many samples are compared layer by layer.")
    seed: int = Field(0, ge=0, description="Of every random number of the job.")
    onnx: bool = Field(False, description="Also write `model.onnx`, the normalised graph with its weights.")
    output: OutputOptions | None = None
    limits: LimitOptions = Field(default_factory=LimitOptions)

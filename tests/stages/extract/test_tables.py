"""Tables of which the module reads some rows only, and of which the reference has no more than these."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch_pairs import assert_grafted, extract, randomized
from torchgraft.stages.errors import MappingError
from torchgraft.stages.plan import Plan

WIDTH, LENGTH, WORDS = 8, 6, 20
IDS = np.random.default_rng(0).integers(2, WORDS, (3, LENGTH))


class Words(nn.Module):
    """Words and positions, as Keras adds them: a table of exactly as many positions."""

    def __init__(self, words: int = WORDS, positions: int = LENGTH) -> None:
        super().__init__()
        self.words = nn.Embedding(words, WIDTH)
        self.position = nn.Parameter(torch.zeros(positions, WIDTH))
        self.norm, self.out = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4)

    def positions(self, ids: torch.Tensor) -> torch.Tensor:
        return self.position

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.out(self.norm(self.words(ids) + self.positions(ids)))


class Offset(Words):
    """The same, looked up behind ``first`` rows."""

    def __init__(self, rows: int, first: int, how: str) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(rows, WIDTH))
        self.first, self.how = first, how

    def positions(self, ids: torch.Tensor) -> torch.Tensor:
        table, first = self.position, self.first
        if self.how == "a slice":
            return table[first : first + LENGTH]
        if self.how == "a slice of the second axis":
            return table.unsqueeze(0)[:, first : first + LENGTH]
        if self.how == "fixed":
            return nn.functional.embedding(torch.arange(LENGTH) + first, table)
        counted = ids.ne(1).long().cumsum(1) - 1 + first  # as RoBERTa counts what is no padding
        return nn.functional.embedding(counted, table) if self.how == "counted" else table[counted]


@pytest.mark.parametrize("how", ["a slice", "a slice of the second axis", "fixed", "counted", "indexed"])
@pytest.mark.parametrize(("rows", "first"), [(LENGTH + 2, 2), (LENGTH + 5, 2), (LENGTH + 3, 0)])
def test_rows_that_nothing_reads_become_zeros_around_all_that_keras_has(rows: int, first: int, how: str) -> None:
    module = Offset(rows, first, how)
    plan = assert_grafted(randomized(Words()), module, ids=IDS)
    parts = ["fill(0)"] * (first > 0) + ["position"] + ["fill(0)"] * (rows > first + LENGTH)
    assert plan["position"] == f"join(axis=0; {', '.join(parts)})"


@pytest.mark.parametrize(("how", "severity"), [("a slice", "note"), ("fixed", "note"), ("counted", "warning")])
def test_the_rows_are_named_and_a_warning_says_where_inputs_decide_what_is_read(how: str, severity: str) -> None:
    (finding,) = extract(randomized(Words()), Offset(LENGTH + 4, 2, how), ids=IDS).findings
    assert finding.severity == severity
    assert "rows 0–1 and 8–9 became zeros" in str(finding)
    assert "position" in str(finding)


def test_what_has_been_filled_goes_back_and_through_json() -> None:
    reference = randomized(Words())
    plan = extract(reference, Offset(LENGTH + 2, 2, "fixed"), ids=IDS).plan
    again = Plan.from_json(plan.to_json())
    values = {name.replace(".", "/"): value.numpy() for name, value in reference.state_dict().items()}
    back = again.restore(again.apply(values))
    np.testing.assert_array_equal(back["position"], values["position"])


def test_a_table_that_reads_one_row_further_in_the_middle_is_not_accepted() -> None:
    class Gap(Offset):
        def positions(self, ids: torch.Tensor) -> torch.Tensor:
            steps = torch.arange(LENGTH)
            return self.position[steps + (steps > 2) + ids[:, :1] * 0]

    with pytest.raises(MappingError, match="1 of 6 keys"):
        extract(randomized(Words()), Gap(LENGTH + 1, 0, ""), ids=IDS)


def test_a_row_in_front_that_the_module_reads_after_all_is_not_accepted() -> None:
    class Reading(Offset):
        def positions(self, ids: torch.Tensor) -> torch.Tensor:
            return super().positions(ids) + self.position[0]

    with pytest.raises(MappingError, match="1 of 6 keys"):
        extract(randomized(Words()), Reading(LENGTH + 2, 2, "fixed"), ids=IDS)


def test_a_row_in_front_that_padding_reads_is_told_with_the_inputs_that_would_not_read_it() -> None:
    class Padded(Offset):
        def positions(self, ids: torch.Tensor) -> torch.Tensor:
            words = ids.ne(1).long()
            return nn.functional.embedding(words.cumsum(1) * words + 1, self.position)

    padded = IDS.copy()
    padded[0, -2:] = 1
    extraction = extract(randomized(Words()), Padded(LENGTH + 2, 2, ""), ids=padded)
    errors = [str(finding) for finding in extraction.findings if finding.severity == "error"]
    assert any("rows 0–1 became zeros, and on some of these inputs forward reads them" in text for text in errors)
    assert str(extraction.plan["position"]) == "join(axis=0; fill(0), position)"
    assert not [
        f for f in extract(randomized(Words()), Padded(LENGTH + 2, 2, ""), ids=IDS).findings if f.severity == "error"
    ]


def test_a_table_of_more_words_than_keras_has_is_placed_and_warned_of() -> None:
    assert_grafted(randomized(Words()), Words(words=WORDS + 4), ids=IDS)
    (finding,) = extract(randomized(Words()), Words(words=WORDS + 4), ids=IDS).findings
    assert finding.severity == "warning"
    assert "rows 20–23 became zeros: none of these inputs reads them" in str(finding)


@pytest.mark.parametrize(
    "make", [lambda: Words(words=WORDS - 1), lambda: Offset(LENGTH - 1, -1, "fixed")], ids=["words", "positions"]
)
def test_a_table_that_is_too_short_for_what_keras_has_is_refused(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(MappingError):
        extract(randomized(Words(words=WORDS)), make(), ids=np.minimum(IDS, WORDS - 2))


class Typed(Words):
    """With types of tokens that Keras has not, of which one is always looked up."""

    def __init__(self, types: int, enter: str = "added") -> None:
        super().__init__()
        self.types, self.enter = nn.Embedding(types, WIDTH), enter

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        row = self.types(torch.zeros(LENGTH, dtype=torch.long) if self.enter == "fixed" else torch.zeros_like(ids))
        words = self.words(ids) * row if self.enter == "multiplied" else self.words(ids) + row
        return self.out(self.norm(words + self.positions(ids)))


@pytest.mark.parametrize(("types", "enter"), [(1, "added"), (2, "added"), (1, "fixed")])
def test_a_row_that_is_always_added_and_that_keras_has_not_becomes_zeros_and_is_told(types: int, enter: str) -> None:
    assert assert_grafted(randomized(Words()), Typed(types, enter), ids=IDS)["types.weight"] == "fill(0)"
    extraction = extract(randomized(Words()), Typed(types, enter), ids=IDS)
    assert extraction.plan["types.weight"].evidence[0].startswith("arithmetic: Keras adds nothing at types")
    (finding,) = extraction.findings
    assert (finding.severity, finding.place) == ("note", "types")


def test_a_row_that_zeros_would_not_mend_stays_a_missing_key() -> None:
    with pytest.raises(MappingError, match="1 of 7 keys") as refusal:
        extract(randomized(Words()), Typed(1, "multiplied"), ids=IDS)
    assert 'allow_unmatched: ["types.*"]' in str(refusal.value)

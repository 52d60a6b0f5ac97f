"""What hints mean, and what is said where they name what does not exist."""

from __future__ import annotations

import pytest
from torchgraft.stages.errors import UsageError
from torchgraft.stages.hints import Claim, Hint, claims_of, contradictions, hints_of_plan, unmatched_allowed
from torchgraft.stages.plan import Fill, Plan, Recipe, Variable

KEYS = ["stem.weight", *(f"blocks.{i}.attn.{name}.weight" for i in range(2) for name in ("q", "k")), "head.0.bias"]
VARIABLES = ["conv/kernel", *(f"encoder_{i}/attention/{name}/kernel" for i in range(2) for name in ("query", "key"))]


def claimed(ours: str, keras: str) -> dict[str, list[str]]:
    return {key: sorted(claim.variables) for key, claim in claims_of([Hint(ours, keras)], KEYS, VARIABLES).items()}


def test_a_key_with_a_variable():
    assert claimed("stem.weight", "conv/kernel") == {"stem.weight": ["conv/kernel"]}


def test_a_module_with_a_layer_stands_for_all_below_them():
    both = ["encoder_1/attention/key/kernel", "encoder_1/attention/query/kernel"]
    assert claimed("blocks.1", "encoder_1") == {"blocks.1.attn.q.weight": both, "blocks.1.attn.k.weight": both}


def test_stars_carry_over_in_order():
    assert claimed("blocks.*.attn.q", "encoder_*/attention/query") == {
        f"blocks.{i}.attn.q.weight": [f"encoder_{i}/attention/query/kernel"] for i in range(2)
    }


def test_two_stars_cross_names():
    assert set(claimed("blocks.**.weight", "encoder_0")) == {key for key in KEYS if key.startswith("blocks")}


def test_a_hint_about_a_key_goes_before_one_about_its_module():
    hints = [Hint("blocks.0.attn", "encoder_0/attention/query"), Hint("blocks.0.attn.k.weight", "conv/kernel")]
    found = claims_of(hints, KEYS, VARIABLES)
    assert found["blocks.0.attn.k.weight"].variables == {"conv/kernel"}
    assert found["blocks.0.attn.q.weight"].variables == {"encoder_0/attention/query/kernel"}


@pytest.mark.parametrize(
    ("ours", "keras", "words"),
    [
        ("stem.wieght", "conv/kernel", ["no key and no path stem.wieght", "stem.weight"]),
        ("stem.weight", "convv", ["no variable and no layer convv", "conv"]),
        ("blocks.*.attn", "encoder_*/atention", ["encoder_0/atention (for blocks.0.attn)", "encoder_0/attention"]),
        ("stem", "conv_*", ["more stars"]),
        ("nothing.*", "conv", ["no key and no path nothing.*"]),
    ],
)
def test_what_does_not_exist_is_named_with_the_nearest_and_the_place(ours, keras, words):
    with pytest.raises(UsageError) as caught:
        claims_of([Hint(ours, keras, "job.yaml:7")], KEYS, VARIABLES)
    assert caught.value.where == "job.yaml:7"
    assert caught.value.exit_code == 2
    for word in words:
        assert word in str(caught.value)


def test_all_wrong_hints_are_told_at_once():
    with pytest.raises(UsageError) as caught:
        claims_of([Hint("a", "conv", "job.yaml:7"), Hint("stem", "b", "job.yaml:8")], KEYS, VARIABLES)
    assert "job.yaml:7" in str(caught.value)
    assert "job.yaml:8" in str(caught.value)


def test_two_hints_that_say_different_things_are_told():
    hints = [Hint("stem", "conv", "job.yaml:3"), Hint("s*", "encoder_0", "job.yaml:4")]
    with pytest.raises(UsageError, match=r"job\.yaml:3") as caught:
        claims_of(hints, KEYS, VARIABLES)
    assert caught.value.where == "job.yaml:4"


def test_a_plan_is_hints_for_the_keys_that_it_makes():
    variable = Variable("conv/kernel", (2,))
    plan = Plan({"a": Recipe(variable), "b": Recipe(Fill(0, (2,)))}, {"conv/kernel": variable}, {"a": (2,), "b": (2,)})
    assert hints_of_plan(plan, "plan.json") == (Hint("a", "conv/kernel", "plan.json"),)


def test_what_is_held_contradicts_a_claim_or_does_not():
    claim = Claim(frozenset({"a/kernel", "b/kernel"}), Hint("x", "a"))
    claims = {"x": claim, "y": claim, "absent": claim}
    assert contradictions(claims, {"x": ("c/kernel",), "y": ("b/kernel", "c/kernel")}) == {"x": claim}


def test_patterns_of_keys_that_may_stay_unmatched():
    assert unmatched_allowed(["head.*", "stem"], KEYS) == {"head.0.bias": "head.*", "stem.weight": "stem"}
    with pytest.raises(UsageError, match=r"head\.0\.bias"):
        unmatched_allowed(["haed.*"], KEYS)

"""Whatever is changed in a number, a unit or an operator of a sound policy: what is accepted stays below every ceiling."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from ballastd.core.policies import PolicySet
from ballastd.documents import load_policies
from ballastd.errors import ConfigurationError
from tests.caps import above_the_caps
from tests.mistakes import NOW, cluster

ROOT = Path(__file__).parents[2]
PAGES = [text for page in ("policies.md",) for text in re.findall(r"```yaml policy\n(.*?)```",
                                                                 (ROOT / "docs" / page).read_text(), re.DOTALL)]
SOUND = [*(path.read_text() for path in sorted((ROOT / "policies").rglob("*.yaml"))), *PAGES]
NUMBER = re.compile(r"(?<![\w.-])\d+(?:\.\d+)?(?=[%a-zA-Z]|[,}\s)])")
FLIPS = (("above:", "below:"), ("below:", "above:"), ("allow:", "deny:"), ("deny:", "allow:"), ("apart", "together"),
         ("together", "apart"), ("rule: on\n", "rule: never-on\n"), ("never-on", "on"), ("must", "should"),
         ("observe", "auto"), ("recommend", "auto"), ("auto", "observe"), ("is: true", "is: false"), ("evacuate", "drain"),
         ("drain", "quarantine"), ("critical", "high"), ("fill_to", "hot"), ("hot:", "cool:"), ("power_on", "power_off"),
         ("in_flight", "per_hour"), ("at_once", "per_hour"), ("per_hour", "per_day"), ("cluster:", "host_out:"),
         ("caution:", "freeze:"), ("failing", "suspect"), ("suspect", "failing"), ("minimum_on", "minimum_off"))
NUMBERS: tuple[Callable[[float], object], ...] = (
    lambda n: int(n) + 1, lambda n: int(n) * 2, lambda n: int(n) * 10, lambda n: int(n) * 1000, lambda n: -int(n),
    lambda n: 0, lambda n: n / 2, lambda n: 10**12, lambda n: 100, lambda n: "1e9", lambda n: ".inf", lambda n: f"'{n:g}'")
UNITS = (("%", ""), ("%", "m"), ("m", "d"), ("h", "m"), ("C", "%"), ("MiB/s", "Gbit/s"), ("s", "d"))
SEEDS, MUTATIONS = 6, 60


def numbers(luck: Random, text: str) -> str:
    found = list(NUMBER.finditer(text))
    if not found:
        return text
    one = luck.choice(found)
    return f"{text[:one.start()]}{luck.choice(NUMBERS)(float(one[0]))}{text[one.end():]}"


def units(luck: Random, text: str) -> str:
    old, new = luck.choice(UNITS)
    return re.sub(rf"(?<=\d){re.escape(old)}\b" if old != "%" else "(?<=\\d)%", new, text, count=luck.choice((1, 0)))


def operators(luck: Random, text: str) -> str:
    old, new = luck.choice([flip for flip in FLIPS if flip[0] in text] or [("", "")])
    places = [found.start() for found in re.finditer(re.escape(old), text)] if old else []
    if not places:
        return text
    at = luck.choice(places)
    return text[:at] + new + text[at + len(old):]


def accepted(folder: Path, text: str) -> PolicySet | None:
    (folder / "p.yaml").write_text(text)
    try:
        return load_policies(folder, cluster(), NOW).policies
    except ConfigurationError:
        return None


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_change_of_a_policy_gets_above_a_ceiling(tmp_path: Path, seed: int) -> None:
    luck, taken = Random(seed), 0
    for _ in range(MUTATIONS):
        text = luck.choice(SOUND)
        for _ in range(luck.choice((1, 1, 2, 4))):
            text = luck.choice((numbers, numbers, operators, units))(luck, text)
        policies = accepted(tmp_path, text)
        if policies is not None:
            taken += 1
            assert above_the_caps(policies) == [], text
    assert 0 < taken < MUTATIONS, "some changes are harmless, and some are refused"


CAPPED = sorted({f"{key}: " for text in SOUND for key in re.findall(
    r"\b(in_flight|cluster|host_out|host_in|link_share|at_once|per_hour|per_day|per_vm_per_day|share|caution|freeze|per_move|"
    r"hosts_off|offs_per_10_min|wakes_per_min|cycles_per_day): (?=\d)", text)})


def raised(text: str, key: str, times: int) -> str:
    return re.sub(rf"(\b{re.escape(key)})(\d+)", lambda found: f"{found[1]}{int(found[2]) * times}", text)


@pytest.mark.parametrize("key", CAPPED)
def test_every_number_that_has_a_ceiling_is_raised_until_it_is_refused(tmp_path: Path, key: str) -> None:
    """One key after the other, in every sound text that has it, up from what it is: at some point it is refused, and never
    accepted again above that."""
    having = [text for text in SOUND if re.search(rf"\b{re.escape(key)}\d", text)]
    for text in [text for text in having if accepted(tmp_path, text) is not None]:
        answers = []
        for more in (1, 2, 5, 30, 1000, 10**6):
            policies = accepted(tmp_path, raised(text, key, more))
            assert policies is None or above_the_caps(policies) == []
            answers.append(policies is not None)
        assert answers[0]
        assert answers == sorted(answers, reverse=True)
        assert not answers[-1]

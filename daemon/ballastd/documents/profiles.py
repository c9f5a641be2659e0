"""A profile: which policies, and how far each may go. One file that names others, so that no text stands twice."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from ballastd.core.policies import Mode, Rule
from ballastd.documents.placement_models import PlacementModel
from ballastd.documents.policy_models import PolicyModel, PolicyName
from ballastd.documents.positions import Document, Path_, dotted
from ballastd.documents.scalars import shown
from ballastd.documents.taken import Taken
from ballastd.documents.validation import Strict, validate

PROFILE = "Profile"


def _include(value: Any) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) and item and "\x00" not in item
                                                          for item in value):
        raise ValueError(f"{shown(value)}: write a list of directories and files, counted from this file, for example "
                         "[.., site.yaml]")
    return value


class ProfileModel(Strict):
    """Which policies govern, and in which mode: ``mode`` for all that have one, ``modes`` for some by their names."""

    kind: Literal["Profile"]
    name: PolicyName
    description: str = ""
    include: Annotated[list[str], BeforeValidator(_include), WithJsonSchema(
        {"type": "array", "items": {"type": "string"}, "minItems": 1, "examples": [[".."]]})]
    mode: Mode | None = None
    modes: dict[str, Mode] = Field(default_factory=dict)


def take_profile(document: Document, taken: Taken, *, is_asked_for: bool) -> tuple[Path, ...]:
    """Return where the policies of a profile are. ``is_asked_for``: it is the file that the settings name."""
    if not is_asked_for or taken.profile is not None:
        what = "a second Profile" if is_asked_for else "a Profile is not one policy among others"
        taken.problems.append(f"{document.where(('kind',))}: kind: {what}; name the file of one in the settings, as in "
                              "policies: /etc/ballastd/policies/profiles/standard.yaml")
        return ()
    model = validate(ProfileModel, document, taken.problems)
    if model is None:
        return ()
    taken.profile = document
    found = []
    for i, name in enumerate(model.include):
        place = Path(os.path.realpath(Path(document.file).parent / name))
        if str(place) == os.path.realpath(document.file) or not _is_there(place):
            path = ("include", i)
            taken.problems.append(f"{document.where(path)}: {dotted(path)}: there is no {shown(name)} beside this file; "
                                  "write a directory or a file, counted from here, for example ..")
        else:
            found.append(place)
    return tuple(found)


def _is_there(place: Path) -> bool:
    try:
        place.stat()
    except OSError:  # pathlib's own exists() raises some of these: a name that is too long, a link to itself
        return False
    return True


def apply_modes(taken: Taken) -> None:
    """Give the policies the modes of the profile, and refuse a name that no policy with a mode has."""
    document = taken.profile
    if document is None:
        return
    model = ProfileModel.model_validate(document.value)
    modes = dict(model.modes)
    for i, (of, policy) in enumerate(taken.models):
        mode: Mode | None = model.mode
        path: Path_ = ("mode",)
        if policy.name in modes and hasattr(policy, "mode"):
            mode, path = modes[policy.name], ("modes", policy.name)
        if mode is not None and _has_mode(policy):
            taken.models[i] = (of, policy.model_copy(update={"mode": mode}))
            taken.modes[of.where(())] = document.where(path)
    known = sorted({policy.name for _, policy in taken.models if _has_mode(policy)})
    for name in modes:
        if name not in known and not taken.windows_unread:
            near = difflib.get_close_matches(name[:60], known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"
            path = ("modes", name)
            taken.problems.append(f"{document.where(path)}: {dotted(path)}: no policy with a mode is called {shown(name)}; "
                                  f"{hint}")


def _has_mode(policy: PolicyModel) -> bool:
    return hasattr(policy, "mode") and not (isinstance(policy, PlacementModel) and policy.rule is Rule.PINNED)

from __future__ import annotations

import pytest

from saetui.errors import Conflict, HomeError, ModelError, SaetuiError
from saetui.protocol.failures import error_of, failure_of
from saetui.protocol.messages import Failure
from saetui.spec.problems import Problem, SpecError


@pytest.mark.parametrize("error_type", [Conflict, HomeError, ModelError])
def test_an_error_keeps_its_kind_and_its_way_out_across_the_socket(error_type: type[SaetuiError]) -> None:
    arrived = error_of(failure_of(error_type("The thing is wrong.", "Do that."), 3))
    assert type(arrived) is error_type
    assert (arrived.message, arrived.suggestion) == ("The thing is wrong.", "Do that.")


def test_all_problems_of_a_spec_arrive() -> None:
    problems = (Problem(field="layers", message="9 is too high."), Problem(field="seed", message="is wrong."))
    arrived = error_of(failure_of(SpecError(problems)))
    assert isinstance(arrived, SpecError)
    assert arrived.problems == problems


def test_a_kind_of_a_later_version_is_still_an_error_to_show() -> None:
    arrived = error_of(Failure(kind="not_yet_known", message="Something."))
    assert type(arrived) is SaetuiError and arrived.message == "Something."

from tests.service_tasks.page import PAGE, page


def test_every_job_type_is_in_the_reference_as_it_is() -> None:
    assert PAGE.read_text("utf-8") == page(), "run python -m tests.service_tasks.page"

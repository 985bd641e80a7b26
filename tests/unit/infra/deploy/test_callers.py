"""As whom golden questions are asked."""

from pathlib import Path

import pytest

from common.settings import Secret
from infra.deploy.callers import NoToken, audience, by_account, by_key

BY_NUMBER = "https://lcc-prod-query-123456789.us-central1.run.app"
BY_HASH = "https://lcc-prod-query-ab12cd34-uc.a.run.app"


def test_the_audience_is_the_address_that_terraform_tells_the_functions() -> None:
    assert audience([BY_HASH, BY_NUMBER]) == BY_NUMBER
    assert audience([BY_HASH]) == BY_HASH


def test_a_key_goes_in_its_header() -> None:
    assert by_key(Secret("lcc_key"))([BY_NUMBER]) == {"X-API-Key": "lcc_key"}


def test_without_credentials_it_says_who_may_act_as_the_operator(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nowhere.json"))
    headers = by_account("lcc-prod-operator@example-lending.iam.gserviceaccount.com")
    with pytest.raises(NoToken, match="must be among Terraform's operators, or API_KEY be set"):
        headers([BY_NUMBER])

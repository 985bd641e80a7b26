"""The names that telemetry uses: each once, each decided upon, none that holds what a person wrote."""

import re
import warnings

import pytest

from common.telemetry import semconv

NAMES = {name: value for name, value in vars(semconv).items() if name.isupper() and isinstance(value, str)}
ATTRIBUTES = {
    name: value for name, value in NAMES.items() if not name.startswith(("OPERATION_", "PROVIDER_", "GEN_AI_CLIENT_"))
}
# What describes who sends, not a span; and what only metrics have.
RESOURCE = ("SERVICE_", "DEPLOYMENT_", "TELEMETRY_", "CLOUD_", "GCP_", "FAAS_")


def test_each_name_is_there_once() -> None:
    assert len(set(NAMES.values())) == len(NAMES)


@pytest.mark.parametrize("name", [name for name in ATTRIBUTES if not name.startswith(RESOURCE)])
def test_each_attribute_is_either_allowed_or_content(name: str) -> None:
    value = ATTRIBUTES[name]
    if value == semconv.GEN_AI_TOKEN_TYPE:  # of metrics
        assert value not in semconv.ALLOWED | semconv.CONTENT
    else:
        assert (value in semconv.ALLOWED) != (value in semconv.CONTENT)


def test_nothing_is_allowed_that_has_no_constant() -> None:
    assert set(ATTRIBUTES.values()) >= semconv.ALLOWED | semconv.CONTENT


@pytest.mark.parametrize("value", sorted(semconv.ALLOWED))
def test_no_allowed_name_is_one_of_addresses_messages_or_people(value: str) -> None:
    held = r"message|content|instructions|query\.text|arguments|prompt|user|client|url\.(full|query|path)|header|email"
    assert not re.search(held, value), value


def test_names_of_conventions_are_spelt_as_opentelemetry_spells_them() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package says that its GenAI names have moved elsewhere
        from opentelemetry.semconv._incubating.attributes import (
            cloud_attributes,
            db_attributes,
            deployment_attributes,
            error_attributes,
            faas_attributes,
            gen_ai_attributes,
            http_attributes,
            network_attributes,
            server_attributes,
            service_attributes,
            telemetry_attributes,
            url_attributes,
        )
    spelt = {
        value
        for module in (
            cloud_attributes, db_attributes, deployment_attributes, error_attributes, faas_attributes,
            gen_ai_attributes, http_attributes, network_attributes, server_attributes, service_attributes,
            telemetry_attributes, url_attributes,
        )
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)
    }  # fmt: skip
    ours = {value for value in ATTRIBUTES.values() if not value.startswith("assistant.")}
    # Google's own, which the conventions do not know.
    assert ours - spelt == {semconv.GCP_PROJECT_ID}

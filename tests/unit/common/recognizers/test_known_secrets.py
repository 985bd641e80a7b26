"""Keys of known shape, standing alone: made up, and put together here so that no scanner takes them for real."""

import pytest

from tests.unit.common.recognizers.finding import secrets_in

LETTERS = "aB3dE5gH7jK9mN1pQ3sT5vW7xZ"
HEX = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
UPPER = "A2B3C4D5E6F7G2H3"

KEYS = [
    "AKIA" + UPPER,
    "ASIA" + UPPER,
    "AIza" + "SyD" + LETTERS + "123456",
    "ya29." + LETTERS,
    "GOCSPX-" + LETTERS,
    "ghp_" + LETTERS + "1234567890",
    "gho_" + LETTERS + "1234567890",
    "github_pat_" + LETTERS,
    "glpat-" + LETTERS[:20],
    "xoxb-" + "123456789012-123456789012-" + LETTERS[:24],
    "xapp-" + "1-A0B1C2D3E-1234567890123-" + HEX,
    "sk_live_" + LETTERS,
    "rk_live_" + LETTERS,
    "whsec_" + LETTERS,
    "sq0atp-" + LETTERS[:22],
    "SK" + HEX,
    "SG." + LETTERS[:22] + "." + LETTERS + LETTERS[:17],
    "key-" + HEX,
    "lcc_k3m9a2x7pq4d_" + LETTERS[:26] + "1234567890ABCDEFGHIJKLM",
    "npm_" + LETTERS + "1234567890",
    "pypi-" + "AgEIcHlwaS5vcmc" + LETTERS * 2,
    "dop_v1_" + HEX * 2,
    "hf_" + LETTERS + "12345678",
    "sk-" + LETTERS * 2,
    "sk-proj-" + LETTERS * 2,
    "sk-ant-" + "api03-" + LETTERS * 3,
    "gsk_" + LETTERS * 2,
    "xai-" + LETTERS * 3,
    "dapi" + HEX,
    "NRAK-" + UPPER + "ABCDEFGHIJK",
    "shpat_" + HEX,
    "hvs." + LETTERS * 4,
    "lin_api_" + LETTERS + "12345678901234",
    "ntn_" + "12345678901" + LETTERS + "123456789",
    "PMAK-" + HEX[:24] + "-" + HEX + "ab",
    "glc_" + LETTERS * 2,
    "glsa_" + LETTERS + "123456_" + HEX[:8],
    "AGE-SECRET-KEY-1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQPZRY9X8GF2TVDW0S3JN54KHCE",
    "dckr_pat_" + LETTERS,
    "eyJ" + LETTERS + ".eyJ" + LETTERS + "." + LETTERS,
    "eyJ" + LETTERS + ".eyJ" + LETTERS + ".",
    "eyJ" + LETTERS + ".eyJ" + LETTERS[:9],
    "abc8Q~" + LETTERS + "123456789",
    LETTERS[:14] + ".atlasv1." + LETTERS * 2 + "12345678",
    HEX + "-us12",
    HEX + "abcd" + "NRAL",
    "M" + LETTERS[:23] + "." + LETTERS[:6] + "." + LETTERS + "12",
    "12345678:AA" + LETTERS + "1234567",
    "$2b$12$" + LETTERS * 2 + "x",
    "https://hooks.slack" + ".com/services/T00000000/B00000000/" + LETTERS,
    "https://discord" + ".com/api/webhooks/123456789012345678/" + LETTERS,
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("around", ["{}", "x {} y", '"{}"', "a={}&b", "<a>{}</a>", "({})", "\\n{}\\n"])
def test_a_known_key_is_found_wherever_it_stands(key: str, around: str) -> None:
    text = around.format(key)
    spans = secrets_in(text)
    start = text.index(key)
    assert any(span.start <= start and span.end >= start + len(key) for span in spans)


@pytest.mark.parametrize("before", ["%3D", "%22", "token%3D"])
def test_a_percent_encoded_sign_before_a_key_is_no_part_of_it(before: str) -> None:
    assert any(span.start == len(before) for span in secrets_in(before + KEYS[5]))


@pytest.mark.parametrize(
    "text",
    [
        "AKIA" + "IOSFODNN7EXAMPLE",
        "AKIA" + UPPER[:10],
        "sk-learn and sk-image are installed",
        "key-value-store-with-a-long-name",
        "550e8400-e29b-41d4-a716-446655440000",
        HEX,
        HEX * 2,
        "org.apache.hadoop.mapreduce.v2.app.job.impl.TaskAttemptImpl",
        "SKIPPED_BECAUSE_OF_A_LONG_NAME",
        "pattern-matching-module-v2",
        "s.charAt_and_then_some_more",
        "eyJub3RhdG9rZW4",
    ],
)
def test_ids_and_names_that_begin_like_keys_are_none(text: str) -> None:
    assert secrets_in(text) == []

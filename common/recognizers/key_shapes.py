"""Shapes of keys that tell what they are by their first letters: of clouds, source hosts, payment, chat, CI, AI.

Sources: the providers' documentation. Each shape is as wide as its issuer may go, and every repeat is bounded.
"""

import re
from string import ascii_letters, digits

from common.recognizers.patterns import pattern

# Prefix and what follows it; the longest prefixes first where one begins another.
SHAPES: tuple[tuple[str, str], ...] = (
    ("lcc_", r"[a-z2-9]{12}_[0-9A-Za-z]{49}"),  # our own: common/security/api_keys.py
    # clouds and hosting
    *((prefix, r"[A-Z0-9]{16}(?![A-Za-z0-9])") for prefix in ("AKIA", "ASIA", "ABIA", "ACCA")),
    ("A3T", r"[A-Z0-9]{17}(?![A-Za-z0-9])"),
    ("ABSK", r"[A-Za-z0-9+/]{60,300}={0,2}"),
    ("bedrock-api-key-", r"[A-Za-z0-9+/=]{20,2048}"),
    ("amzn.mws.", r"[0-9a-f-]{36}"),
    ("AIza", r"[\w-]{30,45}"),
    ("ya29.", r"[\w.-]{20,2048}"),
    ("GOCSPX-", r"[\w-]{20,40}"),
    ("AQ.Ab8", r"[\w-]{30,120}"),
    ("LTAI", r"[A-Za-z0-9]{12,20}(?![A-Za-z0-9])"),
    ("AKID", r"[A-Za-z0-9]{32}(?![A-Za-z0-9])"),
    *((prefix, r"[0-9a-f]{64}") for prefix in ("dop_v1_", "doo_v1_", "dor_v1_")),
    ("HRKU-", r"[\w-]{36,66}"),
    ("v1.0-", r"[a-f0-9]{24}-[a-f0-9]{100,146}"),
    *((prefix, r"[\w+/=,-]{40,4096}") for prefix in ("fo1_", "fm1r_", "fm1a_", "fm2_")),
    *((prefix, r"[A-Za-z0-9_]{20,60}") for prefix in ("nfp_", "nfc_", "nfo_", "vcp_", "vck_", "rnd_", "sbp_", "napi_")),
    ("sb_secret_", r"[\w-]{20,60}"),
    ("pscale_", r"(?:tkn|oauth|pw)_[\w=.-]{32,64}"),
    ("ocid1.credential.", r"[\w.-]{20,160}"),
    ("AQVN", r"[\w-]{35,38}(?![\w-])"),
    ("t1.9eu", r"[\w.=-]{40,512}"),
    ("y0_", r"[\w-]{40,70}"),
    # source hosts, packages, CI
    *((prefix, r"[A-Za-z0-9_.-]{30,1024}") for prefix in ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),
    ("github_pat_", r"[A-Za-z0-9_]{20,255}"),
    ("glpat-", r"[\w.=-]{18,320}"),
    *(
        (f"gl{kind}-", r"[\w.=-]{18,320}")
        for kind in ("dt", "ptt", "ft", "soat", "rt", "agent", "cbt", "imt", "oas", "ffct", "sa", "wt", "at")
    ),
    ("GR1348941", r"[\w-]{20,50}"),
    ("ATATT3", r"[\w=-]{40,300}"),
    ("ATCTT3", r"[\w=-]{40,300}"),
    ("ATBB", r"[A-Za-z0-9]{24,36}(?![A-Za-z0-9])"),
    ("npm_", r"[A-Za-z0-9]{30,60}"),
    ("pypi-", r"[\w-]{50,1024}"),
    ("rubygems_", r"[a-f0-9]{40,64}"),
    ("oy2", r"[a-z0-9]{43}(?![A-Za-z0-9])"),
    ("CLOJARS_", r"[a-zA-Z0-9]{50,70}"),
    ("cio", r"[A-Za-z0-9]{32}(?![A-Za-z0-9])"),
    ("dckr_", r"[po]at_[\w-]{20,64}"),
    ("AKCp", r"[A-Za-z0-9]{60,80}"),
    ("cmVmd", r"[A-Za-z0-9]{55,65}"),
    ("eyJ", r"[\w-]{8,16384}(?:={0,2}\.[\w-]{2,16384}){1,4}={0,2}\.?"),
    ("CCIP", r"(?:AT|RJ)_[\w-]{30,90}"),
    ("bkua_", r"[a-z0-9]{40}"),
    ("pnu_", r"[A-Za-z0-9]{36}"),
    ("pnb_", r"[A-Za-z0-9]{36}"),
    ("API-", r"[A-Z0-9]{25,40}(?![A-Za-z0-9-])"),
    ("sgp_", r"(?:(?:[a-fA-F0-9]{16}|local)_)?[a-fA-F0-9]{40}"),
    ("slk_", r"[a-f0-9]{64}"),
    *((prefix, r"[a-z0-9]{40}") for prefix in ("sqp_", "squ_", "sqa_")),
    ("sha256~", r"[\w-]{43}"),
    ("tskey-", r"[\w-]{20,80}"),
    # payment and commerce
    *(
        (f"{kind}_{stage}_", r"[0-9a-zA-Z]{10,256}")
        for kind in ("sk", "rk", "mk", "ak", "rzp", "cko")
        for stage in ("live", "test", "prod")
    ),
    ("sk_", r"[A-Za-z0-9]{24,128}"),
    ("rzp_live_", r"[A-Za-z0-9]{14,30}"),
    ("whsec_", r"[A-Za-z0-9+/=]{20,128}"),
    ("sq0", r"[a-z]{3}-[\w-]{22,60}"),
    ("EAAA", r"[\w-]{56,64}(?![\w-])"),
    ("EAA", r"[A-Za-z0-9]{60,512}"),
    ("access_token$", r"(?:production|sandbox)\$[a-z0-9]{16}\$[a-f0-9]{32}"),
    *((f"shp{kind}_", r"[a-fA-F0-9]{30,40}") for kind in ("at", "ca", "pa", "ss", "tka", "ua", "it")),
    ("shippo_", r"(?:live|test)_[a-fA-F0-9]{40}"),
    ("EZAK", r"[A-Za-z0-9]{54}"),
    ("EZTK", r"[A-Za-z0-9]{54}"),
    ("duffel_", r"(?:test|live)_[\w=-]{40,50}"),
    ("FLWSECK", r"(?:_TEST)?-[A-Za-z0-9-]{12,60}"),
    ("live_", r"[A-Za-z0-9]{28,64}(?![A-Za-z0-9])"),
    ("access-", r"(?:sandbox|development|production)-[0-9a-f-]{36}"),
    # chat and mail
    *((f"xox{kind}-", r"[A-Za-z0-9-]{10,255}") for kind in "abcdeoprst"),
    ("xoxe.xox", r"[bp]-[A-Za-z0-9-]{20,255}"),
    ("xapp-", r"\d-[A-Za-z0-9]{5,20}-\d{5,20}-[a-z0-9]{20,128}"),
    ("SG.", r"[\w-]{16,32}\.[\w-]{16,64}"),
    ("key-", r"[0-9a-zA-Z]{32}(?![0-9a-zA-Z])"),
    ("xkeysib-", r"[a-f0-9]{64}-[a-zA-Z0-9]{16}"),
    ("xsmtpsib-", r"[a-f0-9]{64}-[a-zA-Z0-9]{16}"),
    ("SK", r"[0-9a-fA-F]{32}(?![0-9a-zA-Z])"),
    ("dG9rO", r"[A-Za-z0-9+/=]{40,80}"),
    ("sl.", r"[\w=-]{100,1500}"),
    ("AAAAAAAAAAAAAAAAAAAAA", r"[A-Za-z0-9%]{60,128}"),
    # AI
    ("sk-", r"(?:[a-z0-9]{1,12}-){0,3}[A-Za-z0-9_-]{16,256}"),
    ("hf_", r"[A-Za-z0-9]{30,40}"),
    ("api_org_", r"[A-Za-z0-9]{30,40}"),
    ("gsk_", r"[A-Za-z0-9]{40,64}"),
    ("xai-", r"[A-Za-z0-9]{60,90}"),
    ("pplx-", r"[A-Za-z0-9]{40,60}"),
    ("r8_", r"[A-Za-z0-9]{37,40}"),
    ("nvapi-", r"[\w-]{50,80}"),
    ("fw_", r"[A-Za-z0-9]{20,40}(?![A-Za-z0-9_])"),
    ("tgp_v1_", r"[\w-]{30,60}"),
    ("lsv2_", r"(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}"),
    ("pcsk_", r"[\w-]{40,90}"),
    ("jina_", r"[A-Za-z0-9_-]{40,70}"),
    ("tvly-", r"[A-Za-z0-9-]{20,60}"),
    # data, monitoring, secrets, work
    *((prefix, r"[a-f0-9]{32}(?:-\d)?") for prefix in ("dapi", "dkea", "dose", "dsapi")),
    *((prefix, r"[A-Za-z0-9-]{18,48}") for prefix in ("NRAK-", "NRII-", "NRJS-", "NRIQ-", "NRRA-", "NRSP-")),
    ("dt0", r"[a-zA-Z]\d{2}\.[A-Za-z0-9]{8,24}\.[A-Za-z0-9]{64}"),
    ("glc_", r"[A-Za-z0-9+/]{30,400}={0,2}"),
    ("glsa_", r"[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}"),
    ("sntrys_", r"[\w+/=]{40,600}"),
    ("sntryu_", r"[a-f0-9]{64}"),
    ("hcaik_", r"[a-z0-9]{50,70}"),
    ("hcxik_", r"[a-z0-9]{50,70}"),
    ("phc_", r"[A-Za-z0-9]{40,50}"),
    ("phx_", r"[A-Za-z0-9]{40,50}"),
    *((f"hv{kind}.", r"[\w-]{20,512}") for kind in "sbr"),
    ("s.", r"(?=[A-Za-z]{0,23}\d)[A-Za-z0-9]{24}(?![A-Za-z0-9])"),
    *((f"dp.{kind}.", r"[\w.-]{36,64}") for kind in ("pt", "st", "ct", "sa", "scim", "audit")),
    ("pul-", r"[a-f0-9]{40}"),
    ("ops_eyJ", r"[\w+/-]{100,2048}={0,3}"),
    ("A3-", r"[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}"),
    ("AGE-SECRET-KEY-1", r"[0-9A-Z]{50,64}"),
    ("lin_", r"(?:api|oauth)_[A-Za-z0-9]{32,64}"),
    ("ntn_", r"[A-Za-z0-9]{40,60}"),
    ("secret_", r"[A-Za-z0-9]{43}(?![A-Za-z0-9])"),
    ("figd_", r"[\w-]{38,50}"),
    ("figo_", r"[\w-]{38,50}"),
    ("pat", r"[A-Za-z0-9]{14}\.[a-f0-9]{64}"),
    ("pat-", r"(?:na|eu|ap)\d-[0-9a-fA-F-]{36}"),
    ("PMAK-", r"[a-f0-9]{24}-[a-f0-9]{34}"),
    ("PMAT-", r"[A-Z0-9]{26}"),
    ("rdme_", r"[a-z0-9]{70}"),
    ("CFPAT-", r"[\w-]{40,50}"),
    ("tfp_", r"[\w.=-]{40,64}"),
    ("p8e", r"-?[A-Za-z0-9-]{32,40}"),
    ("fio-u-", r"[\w=-]{64}"),
    ("tk-us-", r"[\w-]{48}"),
    ("dnkey-", r"[\w=-]{26}-[\w=-]{52}"),
    ("sm_", r"[aps]at_[A-Za-z0-9]{16}"),
    ("4b1d", r"[A-Za-z0-9]{38}(?![A-Za-z0-9])"),
    ("xprv", r"[1-9A-HJ-NP-Za-km-z]{100,112}"),
    ("tk_", r"[A-Za-z0-9]{32,64}(?![A-Za-z0-9])"),
)  # fmt: skip

# Looked up by a run's first three characters, whatever the third is where a prefix has only two.
BY_HEAD: dict[str, tuple[re.Pattern[str], ...]] = {}
for _prefix, _rest in SHAPES:
    for _third in _prefix[2:3] or ascii_letters + digits:
        _head = _prefix[:2] + _third
        BY_HEAD[_head] = (*BY_HEAD.get(_head, ()), pattern(re.escape(_prefix) + _rest))

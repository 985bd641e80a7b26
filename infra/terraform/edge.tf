# One host for all functions over HTTP, with a certificate that Google keeps and Cloud Armor before it. The paths are
# those of functions.json; any other is answered by the health function's 404. Without the edge, functions have their
# own addresses.

locals {
  at_edge = { for name, one in local.over_http : name => one if var.edge.enabled }

  # Google's rules after OWASP's core rule set, at the lowest sensitivity. In preview: they are logged and refuse nothing,
  # for "Is $500,000 enough? (80 % LTV)" looks like an attack to some of them.
  waf_rules = {
    1000 = "sqli-v33-stable", 1010 = "xss-v33-stable", 1020 = "lfi-v33-stable", 1030 = "rfi-v33-stable", 1040 = "rce-v33-stable",
    1050 = "scannerdetection-v33-stable", 1060 = "protocolattack-v33-stable", 1070 = "cve-canary",
  }
}

resource "google_compute_global_address" "edge" {
  count = var.edge.enabled ? 1 : 0

  name = "${local.prefix}-edge"

  depends_on = [google_project_service.this]
}

resource "google_compute_region_network_endpoint_group" "function" {
  for_each = local.at_edge

  name                  = each.value.service
  region                = var.region
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = google_cloudfunctions2_function.this[each.key].name
  }
}

resource "google_compute_backend_service" "function" {
  for_each = local.at_edge

  name                  = each.value.service
  description           = each.value.description
  load_balancing_scheme = "EXTERNAL_MANAGED"
  protocol              = "HTTPS"
  security_policy       = google_compute_security_policy.edge[0].id

  backend {
    group = google_compute_region_network_endpoint_group.function[each.key].id
  }

  log_config {
    enable      = true
    sample_rate = 1
  }
}

resource "google_compute_url_map" "edge" {
  count = var.edge.enabled ? 1 : 0

  name            = "${local.prefix}-edge"
  default_service = google_compute_backend_service.function["health"].id

  host_rule {
    hosts        = [var.edge.host]
    path_matcher = "functions"
  }

  path_matcher {
    name            = "functions"
    default_service = google_compute_backend_service.function["health"].id

    dynamic "path_rule" {
      for_each = local.at_edge
      content {
        paths   = flatten([for path in path_rule.value.paths : [path, "${path}/*"]])
        service = google_compute_backend_service.function[path_rule.key].id
      }
    }
  }
}

resource "google_compute_managed_ssl_certificate" "edge" {
  count = var.edge.enabled ? 1 : 0

  name = "${local.prefix}-${substr(sha256(var.edge.host), 0, 8)}" # another host is another certificate
  managed {
    domains = [var.edge.host]
  }

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [google_project_service.this]
}

resource "google_compute_ssl_policy" "edge" {
  count = var.edge.enabled ? 1 : 0

  name            = "${local.prefix}-edge"
  profile         = "MODERN"
  min_tls_version = "TLS_1_2"

  depends_on = [google_project_service.this]
}

resource "google_compute_target_https_proxy" "edge" {
  count = var.edge.enabled ? 1 : 0

  name             = "${local.prefix}-edge"
  url_map          = google_compute_url_map.edge[0].id
  ssl_certificates = [google_compute_managed_ssl_certificate.edge[0].id]
  ssl_policy       = google_compute_ssl_policy.edge[0].id
}

resource "google_compute_global_forwarding_rule" "edge" {
  count = var.edge.enabled ? 1 : 0

  name                  = "${local.prefix}-edge"
  target                = google_compute_target_https_proxy.edge[0].id
  ip_address            = google_compute_global_address.edge[0].id
  port_range            = "443"
  load_balancing_scheme = "EXTERNAL_MANAGED"
}

resource "google_compute_security_policy" "edge" {
  # checkov:skip=CKV_GCP_73: the rule cve-canary is there, in preview; nothing here runs on Java
  count = var.edge.enabled ? 1 : 0

  name        = "${local.prefix}-edge"
  description = "How much one address may send; and what looks like an attack, in preview."

  # Without this a body is looked at as one text, and every JSON brace is a suspect.
  advanced_options_config {
    json_parsing = "STANDARD"
    log_level    = "NORMAL" # VERBOSE would log what people ask
  }

  rule {
    action      = "throttle"
    priority    = 2000 # after the others: what conforms is let in at once
    description = "Requests of one address a minute"
    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
    rate_limit_options {
      conform_action = "allow"
      exceed_action  = "deny(429)"
      enforce_on_key = "IP"
      rate_limit_threshold {
        count        = var.edge.requests_per_minute
        interval_sec = 60
      }
    }
  }

  dynamic "rule" {
    for_each = local.waf_rules
    content {
      action      = "deny(403)"
      priority    = rule.key
      preview     = true
      description = rule.value
      match {
        expr {
          expression = "evaluatePreconfiguredWaf('${rule.value}', {'sensitivity': 1})"
        }
      }
    }
  }

  rule {
    action      = "allow"
    priority    = 2147483647
    description = "Everybody else"
    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
  }

  depends_on = [google_project_service.this]
}

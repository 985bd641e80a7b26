# Alerts in Cloud Monitoring, by the same names, words, weights and limits as infra/monitoring/alerts.yml, which is read
# here. What Prometheus works out of the product's own series comes from Cloud Run's metrics and from log lines instead;
# what cannot be told from those stands in `prometheus_only` with the reason. A test holds the lists together.

locals {
  groups = yamldecode(file("${local.root}/infra/monitoring/alerts.yml")).groups
  rules  = flatten([for group in local.groups : group.rules])
  limits = { for rule in local.rules : trimprefix(rule.record, "assistant:limit:") => rule.expr if can(rule.record) && startswith(try(rule.record, ""), "assistant:limit:") }
  told   = { for rule in local.rules : rule.alert => rule if can(rule.alert) }

  of_functions = "monitored_resource=\"cloud_run_revision\",service_name=~\"${local.prefix}-.*\""
  events       = { for name in concat(keys(local.counted_events), ["instance_ended"]) : name => "logging_googleapis_com:user_${replace(local.prefix, "-", "_")}_${name}{monitored_resource=\"cloud_run_revision\"" }
  tokens       = { for name in keys(local.summed_fields) : name => "logging_googleapis_com:user_${replace(local.prefix, "-", "_")}_model_${name}_sum{monitored_resource=\"cloud_run_revision\"" }
  requests     = "sum(increase(run_googleapis_com:request_count{${local.of_functions}}[1h]))"
  uptime       = "monitoring_googleapis_com:uptime_check_check_passed{monitored_resource=\"uptime_url\",check_id="

  alerts = {
    FunctionDown = {
      query    = "avg(avg_over_time(${local.uptime}\"${google_monitoring_uptime_check_config.health.uptime_check_id}\"}[5m])) < 0.5"
      duration = "120s"
    }
    ComponentDown = {
      query    = "avg(avg_over_time(${local.uptime}\"${google_monitoring_uptime_check_config.healthy.uptime_check_id}\"}[5m])) < 0.5"
      duration = "180s"
    }
    InstanceRestartsAgainAndAgain = {
      query    = "sum by (service_name) (increase(${local.events["instance_ended"]}}[30m])) >= ${local.limits["restarts_per_half_hour"]}"
      duration = "0s"
    }
    ColdStartSurge = {
      query = join(" and ", [
        "sum(increase(run_googleapis_com:container_startup_latencies_count{${local.of_functions}}[1h])) > ${local.limits["starts_per_hour"]}",
        "sum(increase(run_googleapis_com:container_startup_latencies_count{${local.of_functions}}[1h])) > ${local.limits["starts_per_request"]} * ${local.requests}",
      ])
      duration = "300s"
    }
    CpuBusy = {
      query    = "histogram_quantile(0.99, sum by (service_name, le) (increase(run_googleapis_com:container_cpu_utilizations_bucket{${local.of_functions}}[5m]))) > ${local.limits["cpu_cores"]}"
      duration = "900s"
    }
    MemoryNearLimit = {
      query    = "histogram_quantile(0.99, sum by (service_name, le) (increase(run_googleapis_com:container_memory_utilizations_bucket{${local.of_functions}}[5m]))) > ${local.limits["memory_share"]}"
      duration = "300s"
    }
    AgentFails = {
      query    = "sum(increase(${local.events["agent_failed"]}}[1h])) >= ${local.limits["agent_failures_per_hour"]}"
      duration = "120s"
    }
    AnswersDegraded = {
      query = join(" or ", [
        for event in ["model_failed", "vectors_failed", "embeddings_failed", "retrieval_failed"] :
        "(sum(increase(${local.events[event]}}[1h])) > ${local.limits["degraded_share"]} * sum(increase(run_googleapis_com:request_count{${local.of_functions},service_name=\"${local.prefix}-query\"}[1h])) and sum(increase(run_googleapis_com:request_count{${local.of_functions},service_name=\"${local.prefix}-query\"}[1h])) >= ${local.limits["agent_runs_per_hour"]})"
      ])
      duration = "600s"
    }
    BreakerOpen = {
      query    = "sum(increase(${local.events["breaker_changed"]},outcome=\"open\"}[10m])) > 0"
      duration = "0s"
    }
    ProviderFails = {
      query = join(" and ", [
        "sum(increase(${local.events["model_call_failed"]}}[1h])) >= ${local.limits["provider_failures_per_hour"]}",
        "sum(increase(${local.events["model_call_failed"]}}[1h])) > ${local.limits["provider_failed_share"]} * (sum(increase(${local.events["model_call_failed"]}}[1h])) + (sum(increase(${local.events["model_answered"]}}[1h])) or vector(0)))",
      ])
      duration = "300s"
    }
    TokensSurge = {
      query = join(" and ", [
        "sum(increase(${local.tokens["input_tokens"]}}[1h])) + sum(increase(${local.tokens["output_tokens"]}}[1h])) >= ${local.limits["tokens_per_hour"]}",
        "sum(increase(${local.tokens["input_tokens"]}}[1h])) + sum(increase(${local.tokens["output_tokens"]}}[1h])) > ${local.limits["surge_factor"]} * ((sum(increase(${local.tokens["input_tokens"]}}[1d] offset 1h)) + sum(increase(${local.tokens["output_tokens"]}}[1d] offset 1h))) / 24 or vector(0))",
      ])
      duration = "300s"
    }
    CallsWithoutPrice = {
      query    = "sum(increase(${local.events["price_unknown"]}}[1h])) > 0"
      duration = "0s"
    }
    BudgetNearlySpent = {
      query    = "sum(increase(${local.events["budget_reached"]}}[1h])) > 0"
      duration = "0s"
    }
    BudgetSpent = {
      query    = "sum(increase(${local.events["budget_held"]}}[1h])) > 0"
      duration = "0s"
    }
    NoticesNotDelivered = {
      query    = "sum(increase(${local.events["notice_not_sent"]}}[1h])) > 0"
      duration = "0s"
    }
    CloudBudgetUnread = {
      query    = "sum(increase(${local.events["budget_unusable"]}}[1h])) > 0"
      duration = "0s"
    }
    NoMetrics = {
      query    = "absent(run_googleapis_com:request_count{${local.of_functions}})" # the uptime checks call each minute
      duration = "900s"
    }
    TelemetryFails = {
      query    = "sum by (channel) (increase(${local.events["telemetry_failed"]}}[1h])) >= ${local.limits["telemetry_failures_per_hour"]}"
      duration = "300s"
    }
    LimitsUnchecked = {
      query    = "sum(increase(${local.events["limits_redis_away"]}}[5m])) > 0"
      duration = "60s"
    }
    CredentialsGuessed = {
      query    = "sum(increase(run_googleapis_com:request_count{${local.of_functions},response_code=\"401\"}[1h])) > ${local.limits["refused_credentials_per_hour"]}"
      duration = "0s"
    }
    CredentialsUnchecked = {
      query    = "sum(increase(${local.events["signing_keys_missing"]}}[5m])) > 0"
      duration = "60s"
    }
    KeysUnavailable = {
      query    = "sum(increase(${local.events["keys_unavailable"]}}[5m])) > 0"
      duration = "60s"
    }
    RefusalsNotRecorded = {
      query    = "sum(increase(${local.events["refusals_unrecorded"]}}[5m])) > 0"
      duration = "600s"
    }
  }

  # Told by SLOs in slo.tf, by function.
  burn_rate_alerts = ["AvailabilityBudgetBurnsFast", "AvailabilityBudgetBurnsSlowly", "LatencyBudgetBurnsFast", "LatencyBudgetBurnsSlowly"]

  # What neither Cloud Run nor a log line tells. Prometheus has it, scraped or pushed: docs/monitoring_guide.md.
  prometheus_only = {
    DiskLow               = "the disk of an instance is its memory: MemoryNearLimit"
    CacheHitRateCollapsed = "hits are counted in series alone"
    AbstentionsHigh       = "outcomes of agents are counted in series alone"
    IntentConfidenceLow   = "confidences are in series alone"
    CritiqueRejectsMany   = "outcomes of the critique are counted in series alone"
    UngroundedDrafts      = "what the checks hold back is counted in series alone"
    InjectionSignalsSurge = "signals are counted in series alone"
    CostPerHourHigh       = "the ledger has the cost; budgets of BUDGET_FILE hold it, and tell of it by notice"
    CostForecastHigh      = "the same; and the cloud's budget has a forecast of the whole bill"
    PushgatewayDown       = "there is no Pushgateway here"
    PushesRefused         = "there is no Pushgateway here"
    TelemetryDropped      = "what is given up is counted in series alone"
    LogLinesLost          = "a lost line cannot be counted by lines"
    AllowanceUsedUp       = "the kind of limit behind a 429 is in series and in the audit alone"
    PersonalDataSurge     = "what is masked is counted in series alone"
  }

  channels = [for channel in google_monitoring_notification_channel.email : channel.id]
}

resource "google_monitoring_alert_policy" "this" {
  for_each = local.alerts

  display_name          = "${local.prefix}: ${each.key}"
  combiner              = "OR"
  severity              = upper(try(local.told[each.key].labels.severity, "")) == "CRITICAL" ? "CRITICAL" : "WARNING"
  notification_channels = local.channels
  user_labels           = local.labels

  conditions {
    display_name = each.key
    condition_prometheus_query_language {
      query                     = each.value.query
      duration                  = each.value.duration
      evaluation_interval       = "60s"
      disable_metric_validation = true # a log-based metric has no data until its line is first written
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "${trimspace(replace(local.told[each.key].annotations.description, "/\\{\\{.*?\\}\\}/", ""))}\n\nRead on in ${local.told[each.key].annotations.runbook}"
  }

  alert_strategy {
    auto_close = "${24 * 3600}s"
  }

  depends_on = [google_logging_metric.event, google_logging_metric.sum, google_logging_metric.ended]
}

# /health is 503 where nothing can be answered, and says "degraded" with a 200 where some part is away.

locals {
  health_host = var.edge.enabled ? var.edge.host : trimprefix(try(local.functions["health"].url, ""), "https://") # catalogue.tf wants it there
}

resource "google_monitoring_uptime_check_config" "health" {
  display_name     = "${local.prefix}: /health answers"
  period           = "60s"
  timeout          = "10s"
  selected_regions = ["USA", "EUROPE", "ASIA_PACIFIC"]
  user_labels      = local.labels

  http_check {
    path         = "/health"
    port         = 443
    use_ssl      = true
    validate_ssl = true
  }

  monitored_resource {
    type   = "uptime_url"
    labels = { project_id = var.project_id, host = local.health_host }
  }

  depends_on = [google_project_service.this]
}

resource "google_monitoring_uptime_check_config" "healthy" {
  display_name     = "${local.prefix}: /health is healthy"
  period           = "300s"
  timeout          = "10s"
  selected_regions = ["USA", "EUROPE", "ASIA_PACIFIC"]
  user_labels      = local.labels

  http_check {
    path         = "/health"
    port         = 443
    use_ssl      = true
    validate_ssl = true
  }

  content_matchers {
    content = "\"healthy\""
    matcher = "MATCHES_JSON_PATH"
    json_path_matcher {
      json_path    = "$.status"
      json_matcher = "EXACT_MATCH"
    }
  }

  monitored_resource {
    type   = "uptime_url"
    labels = { project_id = var.project_id, host = local.health_host }
  }

  depends_on = [google_project_service.this]
}

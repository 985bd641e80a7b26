# Objectives, and alerts for spending what they leave for failures too fast: the windows and factors of alerts.yml, after
# Google's Site Reliability Workbook, chapter 5. Limits come from there too. /health is left out: its 503 is a statement.

locals {
  objectives = merge(
    { for name, one in local.over_http : "${name}/availability" => { function = name, kind = "availability" } if name != "health" },
    { for name, one in local.over_http : "${name}/latency" => { function = name, kind = "latency" } if name == "query" },
  )

  burn_rates = {
    Fast   = { factor = 14.4, long = "3600s", short = "300s", duration = "120s" }
    Slowly = { factor = 3, long = "86400s", short = "7200s", duration = "900s" }
  }
  burns = merge([
    for key, objective in local.objectives : {
      for pace, burn in local.burn_rates : "${title(objective.kind)}BudgetBurns${pace}/${objective.function}" => merge(burn, {
        alert     = "${title(objective.kind)}BudgetBurns${pace}"
        objective = key
      })
    }
  ]...)
}

resource "google_monitoring_custom_service" "function" {
  for_each = toset([for objective in local.objectives : objective.function])

  service_id   = local.functions[each.key].service
  display_name = local.functions[each.key].service
  user_labels  = local.labels

  depends_on = [google_project_service.this]
}

resource "google_monitoring_slo" "this" {
  for_each = local.objectives

  service             = google_monitoring_custom_service.function[each.value.function].service_id
  slo_id              = each.value.kind
  display_name        = each.value.kind == "availability" ? "Requests that do not fail" : "Answers within 5 s"
  goal                = each.value.kind == "availability" ? 1 - local.limits["failed_share"] : 1 - local.limits["late_share"]
  rolling_period_days = 30
  user_labels         = local.labels

  request_based_sli {
    dynamic "good_total_ratio" {
      for_each = each.value.kind == "availability" ? [local.functions[each.value.function].service] : []
      content {
        total_service_filter = "metric.type=\"run.googleapis.com/request_count\" resource.type=\"cloud_run_revision\" resource.labels.service_name=\"${good_total_ratio.value}\""
        bad_service_filter   = "metric.type=\"run.googleapis.com/request_count\" resource.type=\"cloud_run_revision\" resource.labels.service_name=\"${good_total_ratio.value}\" metric.labels.response_code_class=\"5xx\""
      }
    }
    dynamic "distribution_cut" {
      for_each = each.value.kind == "latency" ? [local.functions[each.value.function].service] : []
      content {
        distribution_filter = "metric.type=\"run.googleapis.com/request_latencies\" resource.type=\"cloud_run_revision\" resource.labels.service_name=\"${distribution_cut.value}\""
        range {
          min = 0
          max = 5000 # ms
        }
      }
    }
  }
}

resource "google_monitoring_alert_policy" "burn_rate" {
  for_each = local.burns

  display_name          = "${local.prefix}: ${each.key}"
  combiner              = "AND" # the long window says that it matters, the short one that it goes on
  severity              = upper(local.told[each.value.alert].labels.severity) == "CRITICAL" ? "CRITICAL" : "WARNING"
  notification_channels = local.channels
  user_labels           = local.labels

  dynamic "conditions" {
    for_each = [each.value.long, each.value.short]
    content {
      display_name = "${each.value.alert} over ${conditions.value}"
      condition_threshold {
        filter          = "select_slo_burn_rate(\"${google_monitoring_slo.this[each.value.objective].name}\", \"${conditions.value}\")"
        comparison      = "COMPARISON_GT"
        threshold_value = each.value.factor
        duration        = each.value.duration
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "${trimspace(local.told[each.value.alert].annotations.description)}\n\nRead on in ${local.told[each.value.alert].annotations.runbook}"
  }

  alert_strategy {
    auto_close = "${24 * 3600}s"
  }
}

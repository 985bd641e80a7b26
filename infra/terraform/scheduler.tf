# Calls by the clock: the daily cost report, the daily retention, and whatever else the list has a schedule for.

resource "google_cloud_scheduler_job" "function" {
  for_each = local.scheduled

  name             = each.value.service
  description      = each.value.description
  region           = var.region
  schedule         = lookup(var.schedules, each.key, each.value.cron)
  time_zone        = var.time_zone
  attempt_deadline = "${max(15, each.value.timeout_seconds)}s"

  http_target {
    http_method = "POST"
    uri         = "${each.value.url}${each.value.called_path}"
    oidc_token {
      service_account_email = google_service_account.scheduler.email
      audience              = each.value.url
    }
  }

  # The functions take the same call twice for one: a period is reported once.
  retry_config {
    retry_count          = 3
    min_backoff_duration = "60s"
    max_backoff_duration = "900s"
    max_doublings        = 3
  }

  depends_on = [google_cloud_run_v2_service_iam_member.scheduler, google_cloud_run_v2_service_iam_member.anyone]
}

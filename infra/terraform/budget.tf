# What the whole project may cost in a month, as Google counts it: hours late, so a seat belt; the product's own budgets
# (docs/cost_guide.md) hold model calls before they are made. Told to the topic `budget`, which budget_alert hears, and by
# e-mail. To make a budget takes roles/billing.costsManager on the billing account.

resource "google_monitoring_notification_channel" "email" {
  for_each = var.alert_emails

  display_name = "${local.prefix}: ${each.key}"
  type         = "email"
  labels       = { email_address = each.key }
  user_labels  = local.labels

  depends_on = [google_project_service.this]
}

resource "google_billing_budget" "month" {
  count = var.billing_account == null ? 0 : 1

  billing_account = var.billing_account
  display_name    = "${local.prefix}: ${var.project_id}"

  budget_filter {
    projects               = ["projects/${data.google_project.this.number}"]
    calendar_period        = "MONTH"
    credit_types_treatment = "INCLUDE_ALL_CREDITS"
  }

  amount {
    specified_amount {
      units = tostring(var.monthly_budget) # the currency is the account's
    }
  }

  dynamic "threshold_rules" {
    for_each = sort([for share in var.budget_thresholds.current : format("%09.4f", share)])
    content {
      threshold_percent = tonumber(threshold_rules.value)
      spend_basis       = "CURRENT_SPEND"
    }
  }
  dynamic "threshold_rules" {
    for_each = sort([for share in var.budget_thresholds.forecast : format("%09.4f", share)])
    content {
      threshold_percent = tonumber(threshold_rules.value)
      spend_basis       = "FORECASTED_SPEND"
    }
  }

  all_updates_rule {
    pubsub_topic                     = try(google_pubsub_topic.this["budget"].id, null)
    schema_version                   = "1.0"
    monitoring_notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]
    disable_default_iam_recipients   = false
  }
}

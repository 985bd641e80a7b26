# Every function is deployed as functions.json lists it, with just what it uses, and with the smallest parts.

mock_provider "google" {
  source = "./tests/mocks"
}

provider "google" {
  alias        = "secrets"
  project      = "example-lending"
  access_token = "none" # it is never asked for anything
}

override_data {
  target = data.archive_file.source
  values = { output_sha256 = "0123abcd", output_path = "./build/source.zip" }
}

variables {
  project_id      = "example-lending"
  environment     = "dev"
  billing_account = "012345-6789AB-CDEF01"
  monthly_budget  = 50
  alert_emails    = ["desk@example.com"]
}

run "as_listed_and_scheduled_with_the_smallest_parts" {
  command = plan

  variables {
    schedules = { cost_report = "0 5 * * 1-5" }
  }

  assert {
    condition     = toset(keys(google_cloudfunctions2_function.this)) == toset(jsondecode(file("../../functions/functions.json")).functions[*].name)
    error_message = "Every function of the list is deployed, and no other."
  }
  assert {
    condition = alltrue([
      for one in jsondecode(file("../../functions/functions.json")).functions :
      google_cloudfunctions2_function.this[one.name].build_config[0].entry_point == one.entry_point
      && google_cloudfunctions2_function.this[one.name].build_config[0].environment_variables["GOOGLE_FUNCTION_SOURCE"] == one.source
      && google_cloudfunctions2_function.this[one.name].service_config[0].available_memory == "${one.memory_mb}Mi"
      && google_cloudfunctions2_function.this[one.name].service_config[0].timeout_seconds == one.timeout_seconds
      && google_cloudfunctions2_function.this[one.name].service_config[0].available_cpu == tostring(try(one.cpu, 1))
      && google_cloudfunctions2_function.this[one.name].service_config[0].max_instance_request_concurrency == try(one.concurrency, 1)
      && google_cloudfunctions2_function.this[one.name].service_config[0].max_instance_count == try(one.max_instances, 3)
      && google_cloudfunctions2_function.this[one.name].service_config[0].min_instance_count == try(one.min_instances, 0)
    ])
    error_message = "Entry point, source, memory, CPU, time-out, concurrency and instances are the list's."
  }
  assert {
    condition     = alltrue([for one in google_cloudfunctions2_function.this : one.build_config[0].runtime == "python313"])
    error_message = "The runtime is pinned."
  }
  assert {
    condition     = alltrue([for one in google_cloudfunctions2_function.this : one.build_config[0].source[0].storage_source[0].object == "source-0123abcd.zip"])
    error_message = "All functions come from one archive, named by its content."
  }
  assert {
    condition     = alltrue([for one in google_cloudfunctions2_function.this : one.service_config[0].environment_variables["ENVIRONMENT"] == "production"])
    error_message = "Functions run as in production."
  }
  assert {
    condition     = alltrue([for one in jsondecode(file("../../functions/functions.json")).functions : google_cloudfunctions2_function.this[one.name].service_config[0].ingress_settings == (one.callers == "google" ? "ALLOW_INTERNAL_ONLY" : "ALLOW_ALL")])
    error_message = "What only Google calls cannot be reached from outside."
  }
  assert {
    condition     = alltrue([for one in google_cloudfunctions2_function.this : !contains(keys(one.service_config[0].environment_variables), "MIGRATE_ON_START")])
    error_message = "Functions migrate by themselves where they get traffic at once."
  }
  assert {
    condition     = strcontains(google_cloudfunctions2_function.this["query"].service_config[0].environment_variables["GOOGLE_AUDIENCES"], "https://lcc-dev-query-123456789012.us-central1.run.app")
    error_message = "A function lets in tokens that are made for its own address."
  }

  assert {
    condition     = toset(keys(google_cloud_scheduler_job.function)) == toset([for one in jsondecode(file("../../functions/functions.json")).functions : one.name if strcontains(one.trigger, "scheduler")])
    error_message = "Every function with the trigger scheduler has a job, and no other."
  }
  assert {
    condition     = google_cloud_scheduler_job.function["cost_report"].http_target[0].uri == "https://lcc-dev-cost-report-123456789012.us-central1.run.app/api/cost-report/run"
    error_message = "The report is run by its own path."
  }
  assert {
    condition     = google_cloud_scheduler_job.function["cost_report"].schedule == "0 5 * * 1-5" && google_cloud_scheduler_job.function["retention"].schedule == "15 3 * * *"
    error_message = "A schedule is the list's, or that of var.schedules."
  }
  assert {
    condition     = alltrue([for name, job in google_cloud_scheduler_job.function : job.http_target[0].oidc_token[0].audience == "https://lcc-dev-${replace(name, "_", "-")}-123456789012.us-central1.run.app"])
    error_message = "Jobs bring a token for the function that they call."
  }

  assert {
    condition     = length(google_sql_database_instance.this) == 1 && length(google_redis_instance.this) + length(google_compute_instance_group_manager.chroma) + length(google_compute_url_map.edge) == 0
    error_message = "By default there is the smallest database, and nothing else that costs while idle."
  }
  assert {
    condition     = sum(values(output.idle_usd_per_month)) < 11
    error_message = "An idle deployment costs less than 11 USD a month."
  }
  assert {
    condition     = !google_sql_database_instance.this[0].settings[0].ip_configuration[0].ipv4_enabled && google_sql_database_instance.this[0].settings[0].ip_configuration[0].ssl_mode == "ENCRYPTED_ONLY"
    error_message = "The database has no public address, and speaks TLS alone."
  }
  assert {
    condition     = google_sql_database_instance.this[0].deletion_protection && google_sql_database_instance.this[0].settings[0].backup_configuration[0].enabled && google_sql_database_instance.this[0].settings[0].backup_configuration[0].point_in_time_recovery_enabled
    error_message = "The database is backed up and protected."
  }
}

run "a_new_function_needs_no_hcl" {
  command = plan

  variables {
    functions_file = "tests/lists/every_trigger.json"
  }

  assert {
    condition     = keys(google_cloudfunctions2_function.this) == ["documents", "health", "heard", "timed"]
    error_message = "The list decides what is deployed."
  }
  assert {
    condition     = keys(google_pubsub_subscription.function) == ["documents", "heard"] && google_pubsub_subscription.function["heard"].push_config[0].push_endpoint == "https://lcc-dev-heard-123456789012.us-central1.run.app/events/heard"
    error_message = "Pub/Sub and storage push to the function's first path."
  }
  assert {
    condition     = one(google_storage_notification.documents[*].event_types) == toset(["OBJECT_FINALIZE"])
    error_message = "A function with the trigger storage hears of objects that are finished."
  }
  assert {
    condition     = keys(google_storage_bucket_iam_member.documents) == ["documents"]
    error_message = "Only the function that hears of objects reads them."
  }
}

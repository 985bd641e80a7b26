output "functions" {
  description = "Addresses of the functions, by name; append the path of the API to them."
  value       = { for name, one in local.functions : name => one.url }
}

output "query_url" {
  description = "Where questions go."
  value       = try("${local.functions["query"].url}/api/query", null)
}

output "documents_url" {
  description = "Where documents go."
  value       = try("${local.functions["documents"].url}/api/documents", null)
}

output "operator_account" {
  description = "The account that operators act as, by gcloud's --impersonate-service-account."
  value       = google_service_account.operator.email
}

output "archive_url" {
  description = "Where reports and exported audit events are kept."
  value       = "gs://${google_storage_bucket.archive.name}"
}

output "documents_bucket" {
  description = "Bucket whose new objects become documents; null where no function hears of them."
  value       = one(google_storage_bucket.documents[*].name)
}

output "budget_topic" {
  description = "Topic that the cloud's budget writes to; null where no function hears it."
  value       = try(google_pubsub_topic.this["budget"].id, null)
}

output "source_archive" {
  description = "The archive that runs, by its content."
  value       = google_storage_bucket_object.source.name
}

output "idle_usd_per_month" {
  description = "What the parts that are on cost while nobody asks, at list prices of a tier 1 region and at their smallest size; functions cost nothing then unless min_instances keeps some ready."
  value       = local.idle_usd
}

output "edge_address" {
  description = "Address that the DNS record of edge.host points to; null without the edge."
  value       = one(google_compute_global_address.edge[*].address)
}

output "migrations_job" {
  description = "Cloud Run job that migrates the database; null where no function uses one."
  value       = try(google_cloud_run_v2_job.migrations["this"].name, null)
}

output "github_variables" {
  description = "Variables of the GitHub environment of this name, for the deploy workflow; none is a secret. Null without github_repository."
  value = one([for key in local.pipeline : {
    GCP_PROJECT                = var.project_id
    GCP_REGION                 = var.region
    WORKLOAD_IDENTITY_PROVIDER = google_iam_workload_identity_pool_provider.github[key].name
    DEPLOYER                   = google_service_account.deployer[key].email
    PLANNER                    = google_service_account.planner[key].email
    OPERATOR                   = google_service_account.operator.email
    STATE_BUCKET               = var.state_bucket
  }])
}

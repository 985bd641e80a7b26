# What a mocked provider makes up has to pass for what it stands for.

mock_data "google_project" {
  defaults = { number = "123456789012" }
}

mock_data "google_cloud_run_v2_service" {
  defaults = { template = [{ containers = [{ image = "us-central1-docker.pkg.dev/example-lending/lcc-dev-functions/mocked" }] }] }
}

mock_data "google_storage_project_service_account" {
  defaults = { member = "serviceAccount:storage@example-lending.iam.gserviceaccount.com" }
}

mock_resource "google_service_account" {
  defaults = {
    id     = "projects/example-lending/serviceAccounts/mocked@example-lending.iam.gserviceaccount.com"
    name   = "projects/example-lending/serviceAccounts/mocked@example-lending.iam.gserviceaccount.com"
    email  = "mocked@example-lending.iam.gserviceaccount.com"
    member = "serviceAccount:mocked@example-lending.iam.gserviceaccount.com"
  }
}

mock_resource "google_kms_crypto_key" {
  defaults = { id = "projects/example-lending/locations/us-central1/keyRings/lcc-dev/cryptoKeys/data" }
}

mock_resource "google_kms_key_ring" {
  defaults = { id = "projects/example-lending/locations/us-central1/keyRings/lcc-dev" }
}

mock_resource "google_secret_manager_secret" {
  defaults = { id = "projects/123456789012/secrets/mocked" }
}

mock_resource "google_secret_manager_secret_version" {
  defaults = { version = "1" }
}

mock_resource "google_pubsub_topic" {
  defaults = { id = "projects/example-lending/topics/mocked" }
}

mock_resource "google_monitoring_notification_channel" {
  defaults = { id = "projects/example-lending/notificationChannels/1", name = "projects/example-lending/notificationChannels/1" }
}

mock_resource "google_compute_network" {
  defaults = { id = "projects/example-lending/global/networks/mocked" }
}

mock_resource "google_compute_subnetwork" {
  defaults = { id = "projects/example-lending/regions/us-central1/subnetworks/mocked" }
}

mock_resource "google_artifact_registry_repository" {
  defaults = { id = "projects/example-lending/locations/us-central1/repositories/mocked" }
}

mock_resource "google_compute_security_policy" {
  defaults = { id = "projects/example-lending/global/securityPolicies/mocked" }
}

mock_resource "google_compute_health_check" {
  defaults = { id = "projects/example-lending/global/healthChecks/mocked" }
}

mock_resource "google_compute_instance_template" {
  defaults = { self_link_unique = "https://www.googleapis.com/compute/v1/projects/example-lending/global/instanceTemplates/mocked?uniqueId=1" }
}

mock_resource "google_iam_workload_identity_pool" {
  defaults = { name = "projects/123456789012/locations/global/workloadIdentityPools/lcc-dev-github" } # pragma: allowlist secret
}

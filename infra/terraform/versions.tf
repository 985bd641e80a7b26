terraform {
  required_version = ">= 1.11, < 2.0" # write-only arguments; validations that read the list of functions

  required_providers {
    google  = { source = "hashicorp/google", version = "~> 7.45" }
    archive = { source = "hashicorp/archive", version = "~> 2.7" }
  }

  # Which bucket and which prefix is said at `terraform init`: docs/deployment_guide.md. GCS locks the state by itself.
  backend "gcs" {}
}

provider "google" {
  project = var.project_id
  region  = var.region

  default_labels = local.labels
}

# The same, for the one secret that is read while something is made: a mocked provider of `terraform test` cannot do that,
# so the tests leave this one as it is, and make nothing that needs it.
provider "google" {
  alias = "secrets"

  project = var.project_id
  region  = var.region
}

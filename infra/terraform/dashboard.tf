# One page: what people notice, what instances do, what goes wrong. The product's own series are on the dashboards of
# infra/monitoring/grafana.

locals {
  tiles = [
    { title = "Requests a second, by function", query = "sum by (service_name) (rate(run_googleapis_com:request_count{${local.of_functions}}[5m]))" },
    { title = "Share of requests that fail", query = "sum by (service_name) (rate(run_googleapis_com:request_count{${local.of_functions},response_code_class=\"5xx\"}[5m])) / sum by (service_name) (rate(run_googleapis_com:request_count{${local.of_functions}}[5m]))" },
    { title = "Time of an answer, 95 % are faster, in ms", query = "histogram_quantile(0.95, sum by (service_name, le) (rate(run_googleapis_com:request_latencies_bucket{${local.of_functions}}[5m])))" },
    { title = "Instances", query = "sum by (service_name) (run_googleapis_com:container_instance_count{${local.of_functions}})" },
    { title = "Memory, share of the limit", query = "histogram_quantile(0.99, sum by (service_name, le) (rate(run_googleapis_com:container_memory_utilizations_bucket{${local.of_functions}}[5m])))" },
    { title = "Start-up of an instance, 95 % are faster, in ms", query = "histogram_quantile(0.95, sum by (service_name, le) (rate(run_googleapis_com:container_startup_latencies_bucket{${local.of_functions}}[1h])))" },
    { title = "Calls of models an hour", query = "sum(increase(${local.events["model_answered"]}}[1h]))" },
    { title = "Tokens of models an hour", query = "sum(increase(${local.tokens["input_tokens"]}}[1h])) + sum(increase(${local.tokens["output_tokens"]}}[1h]))" },
  ]
}

resource "google_monitoring_dashboard" "this" {
  dashboard_json = jsonencode({
    displayName = "${local.prefix}: functions"
    labels      = { for name, value in local.labels : name => value }
    mosaicLayout = {
      columns = 48
      tiles = [
        for index, tile in local.tiles : {
          xPos   = 24 * (index % 2)
          yPos   = 16 * floor(index / 2)
          width  = 24
          height = 16
          widget = {
            title = tile.title
            xyChart = {
              dataSets = [{
                plotType        = "LINE"
                targetAxis      = "Y1"
                timeSeriesQuery = { prometheusQuery = tile.query }
              }]
            }
          }
        }
      ]
    }
  })

  depends_on = [google_logging_metric.event, google_logging_metric.sum]
}

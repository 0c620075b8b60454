# Mails the billing account's administrators before a month becomes expensive. It stops nothing.

resource "google_billing_budget" "this" {
  billing_account = var.billing_account
  display_name    = "Wherry"

  budget_filter {
    projects = ["projects/${var.project_number}"]
  }

  amount {
    specified_amount {
      units = tostring(var.amount)
    }
  }

  threshold_rules {
    threshold_percent = 0.5
  }

  threshold_rules {
    threshold_percent = 1.0
  }

  threshold_rules {
    threshold_percent = 1.0
    spend_basis       = "FORECASTED_SPEND"
  }
}

variable "project_number" {
  type = string
}

variable "billing_account" {
  type = string
}

variable "amount" {
  type = number
}

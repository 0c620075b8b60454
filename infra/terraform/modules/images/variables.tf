variable "project" {
  type = string
}

variable "region" {
  type = string
}

variable "node_account" {
  type = string
}

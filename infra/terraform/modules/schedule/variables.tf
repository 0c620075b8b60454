variable "project" {
  type = string
}

variable "region" {
  type = string
}

variable "url" {
  description = "Of the sweep function."
  type        = string
}

variable "invoker" {
  type = string
}

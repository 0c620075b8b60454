variable "project" {
  type = string
}

variable "location" {
  type = string
}

variable "name" {
  type = string
}

variable "is_protected" {
  type = bool
}

variable "indexes_file" {
  description = "firestore.indexes.json: the one list of indexes, which tests compare with the queries."
  type        = string
}

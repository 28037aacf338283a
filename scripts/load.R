#!/usr/bin/env Rscript
# The tables of a results folder as data frames, each column with its type. It needs no package.
#
#     Rscript scripts/load.R FOLDER
#
# prints the shape of each table, and the median over the trials of `latency_ns_p50`. From R:
#
#     source("scripts/load.R")
#     tables <- load_results("results/quickstart/reference")
#     aggregate(latency_ns_p50 ~ variant, tables$latency, median)
#
# Types come from `columns.csv` in the folder, which the run wrote; docs/columns.md says what each column
# means. Whole numbers are `numeric`, because R's integers end at 2^31; a value that was not measured is
# `NA` and no zero. Seeds, codes and the values of swept keys are `character`, in which empty is a value
# and "NA" the name of a region.

# The file of a table, which a reference may have compressed; NULL where there is none.
path_of <- function(folder, name) {
    paths <- file.path(folder, c(name, paste0(name, ".gz")))
    found <- paths[file.exists(paths)]
    if (length(found) > 0) found[[1]] else NULL
}

# A table with every field as the text that it is.
read_text <- function(path) {
    read.csv(
        path,
        colClasses = "character", na.strings = character(0), check.names = FALSE, encoding = "UTF-8"
    )
}

# A column of texts as values of this type of columns.csv.
typed <- function(texts, type) {
    if (type == "text") return(texts)
    texts[texts == ""] <- NA
    switch(type,
        integer = ,
        number = as.numeric(texts),
        boolean = texts == "true",
        stop("columns.csv has the unknown type ", type)
    )
}

# Every table of a results folder by its name: load_results(folder)$trials.
load_results <- function(folder) {
    path <- path_of(folder, "columns.csv")
    if (is.null(path)) {
        stop(
            folder, " has no columns.csv: name a results folder of `flexpaxos run` with tables of ",
            "schema 7 or newer (`table_schema_version` in manifest.json)",
            call. = FALSE
        )
    }
    columns <- read_text(path)
    tables <- list()
    for (file in unique(columns$table)) {
        path <- path_of(folder, file)
        if (is.null(path)) next
        table <- read_text(path)
        of_table <- columns[columns$table == file, ]
        for (name in names(table)) {
            table[[name]] <- typed(table[[name]], of_table$value_type[of_table$column == name])
        }
        tables[[sub("[.]csv$", "", file)]] <- table
    }
    tables
}

# Only as a program: who sources this file wants the function alone.
if (sys.nframe() == 0L) {
    arguments <- commandArgs(trailingOnly = TRUE)
    if (length(arguments) != 1) {
        message("usage: Rscript load.R FOLDER")
        quit(status = 2)
    }
    tables <- load_results(arguments)
    for (name in names(tables)) {
        cat(name, ": ", nrow(tables[[name]]), " rows, ", ncol(tables[[name]]), " columns\n", sep = "")
    }
    cat("\nlatency_ns_p50, the median over the trials:\n")
    keys <- latency_ns_p50 ~ variant + point + backend + client_region + operation
    print(aggregate(keys, tables$latency, median), row.names = FALSE)
}

/* Credentials for AWS from where a program of AWS runs: the endpoint of a container (ECS, EKS Pod Identity)
 * and the metadata service of an instance (EC2, IMDSv2). Private to aws_credentials.c, whose words these are.
 */
#ifndef SEALIFT_KMS_AWS_SOURCE_H
#define SEALIFT_KMS_AWS_SOURCE_H

#include "transporter/kms/aws_credentials.h"

/* A variable of the environment that is set and not empty; NULL: it is not. */
const char *aws_variable(const char *name);

/* *found is left false where there is no such place: then `out` is untouched. */
bool aws_source_container(uint64_t end_ms, struct aws_credentials *out, bool *found,
                          struct err *err) MUST_CHECK;
/* Where nothing listens at the metadata service's address, there is none. */
bool aws_source_instance(uint64_t end_ms, struct aws_credentials *out, bool *found,
                         struct err *err) MUST_CHECK;

#endif

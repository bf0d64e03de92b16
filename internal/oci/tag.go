package oci

import (
	"slices"
	"strings"
	"time"
)

// The parts of an intent's tag.
const (
	tagTime         = "20060102T150405.000Z" // UTC; sorts as text as it sorts in time
	tagDigestLength = 12                     // hex digits of the intent digest
	maxTagBytes     = 128                    // https://github.com/opencontainers/distribution-spec
)

// Tag is where the intent with that digest ("sha256:…") is published:
// <environment>.<time>.<start of the digest>. The environment is a DNS label.
func Tag(environment string, issuedAt time.Time, intentDigest string) string {
	hex := strings.TrimPrefix(intentDigest, "sha256:")
	return environment + "." + issuedAt.UTC().Format(tagTime) + "." + hex[:min(len(hex), tagDigestLength)]
}

// ParseTag takes apart what Tag made; ok is false for every other tag.
func ParseTag(tag string) (environment string, issuedAt time.Time, digestPrefix string, ok bool) {
	environment, rest, found := strings.Cut(tag, ".")
	at := len(rest) - tagDigestLength - 1
	if !found || len(tag) > maxTagBytes || at < 0 || rest[at] != '.' || !isLabel(environment) {
		return "", time.Time{}, "", false
	}
	issuedAt, err := time.Parse(tagTime, rest[:at])
	digestPrefix = rest[at+1:]
	if err != nil || strings.Trim(digestPrefix, "0123456789abcdef") != "" || Tag(environment, issuedAt, digestPrefix) != tag {
		return "", time.Time{}, "", false
	}
	return environment, issuedAt, digestPrefix, true
}

// TagsOf returns those of tags that Tag made for the environment, the newest first.
func TagsOf(environment string, tags []string) []string {
	var own []string
	for _, tag := range tags {
		if of, _, _, ok := ParseTag(tag); ok && of == environment {
			own = append(own, tag)
		}
	}
	slices.SortFunc(own, func(a, b string) int { return strings.Compare(b, a) }) // the time sorts as text
	return own
}

func isLabel(text string) bool {
	return text != "" && strings.Trim(text, "-") == text && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

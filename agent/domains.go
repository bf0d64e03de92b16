package agent

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/inhaul/inhaul/spec"
)

// hostLabel is one part of a host name, in small letters.
const hostLabel = `[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?` // RFC 1123

// domainPattern is that of a host name, or of all below one.
var domainPattern = regexp.MustCompile(`\A(?:\*\.)?` + hostLabel + `(?:\.` + hostLabel + `)*\z`)

// compileDomain anchors a pattern of host names: "shop.example.com" is that name
// alone, "*.example.com" every name below example.com, however deep, but not
// example.com itself, and "*" every name. A wildcard name, as in a certificate,
// counts as a name below the rest of it.
func compileDomain(pattern string) (*regexp.Regexp, error) {
	const names = `(?:\*\.)?` + hostLabel + `(?:\.` + hostLabel + `)*`
	if pattern == "*" {
		return regexp.Compile(`\A` + names + `\z`)
	}
	if !domainPattern.MatchString(pattern) {
		return nil, fmt.Errorf(`pattern %q: want a host name in small letters, "*.example.com" for all below it, or "*" for any`, pattern)
	}
	if parent, ok := strings.CutPrefix(pattern, "*."); ok {
		return regexp.Compile(`\A(?:\*|` + hostLabel + `)(?:\.` + hostLabel + `)*` + regexp.QuoteMeta("."+parent) + `\z`)
	}
	return regexp.Compile(`\A` + regexp.QuoteMeta(pattern) + `\z`)
}

// compileDomains anchors the patterns of every environment; the error names the
// environment and the pattern.
func compileDomains(app App) (map[string][]*regexp.Regexp, error) {
	domains := map[string][]*regexp.Regexp{}
	for _, environment := range app.Environments {
		for _, pattern := range environment.Domains {
			re, err := compileDomain(pattern)
			if err != nil {
				return nil, fmt.Errorf("environment %q: domains: %w", environment.Name, err)
			}
			domains[environment.Name] = append(domains[environment.Name], re)
		}
	}
	return domains, nil
}

// judgeDomains says whether the environment lets the services have their host
// names; nil if it does. Private ones are judged too: they ought to have none.
func (p Policy) judgeDomains(app *spec.App, environment Environment) *Denied {
	if app == nil {
		return nil
	}
	for _, service := range app.Services {
		for _, domain := range service.Domains {
			if !matches(p.domains[environment.Name], strings.ToLower(domain)) {
				return &Denied{
					Rule: "policy: domains", Field: fmt.Sprintf("a domain of service %q", service.Name), Got: domain, Want: list(environment.Domains),
					Next: fmt.Sprintf("the platform owner adds it to spec.environments[].domains of App %q, environment %q", p.app.Name, environment.Name),
				}
			}
		}
	}
	return nil
}

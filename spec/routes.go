package spec

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var domainShape = regexp.MustCompile(domainPattern)

// domainPattern is that of a DNS name of two labels or more, whose first may be
// a "*".
const domainPattern = `^(\*\.)?([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?$`

func routeKeys() []key[Settings] {
	return []key[Settings]{
		to("domains", list(textIn("host name", domainPattern, checkDomain), "list of host names"), func(s *Settings) *[]string { return &s.Domains }).of(Web).
			says("Host names that lead to it. The platform has to allow them. A preview has its own, and none of these.", "", "domains: [shop.example.com]"),
		to("public", boolean(), func(s *Settings) **bool { return &s.Public }).of(Web).
			says("Whether it is reached from outside the cluster.", "true", "public: false"),
		to("paths", list(textIn("URL prefix", pathPattern, checkPrefix), "list of URL prefixes"), func(s *Settings) *[]string { return &s.Paths }).of(Web).
			says("URL path prefixes below its `domains` that lead to it.", "[/]", "domains: [shop.example.com]\npaths: [/api]"),
		to("allowFrom", list(label(), "list of app names"), func(s *Settings) *[]string { return &s.AllowFrom }).of(Web).
			says("Other apps that may connect to it, in the environment of the same name.", "none", "allowFrom: [billing]"),
	}
}

func checkDomain(text string) (string, error) {
	const want = "want a host name such as shop.example.com"
	switch {
	case strings.Contains(text, "://"):
		return "", fmt.Errorf("%s, got the URL %s", want, quoted(text))
	case strings.ContainsAny(text, ":/"):
		return "", fmt.Errorf("%s without port and path, got %s", want, quoted(text))
	case len(text) > 253 || !domainShape.MatchString(text) || slices.ContainsFunc(strings.Split(text, "."), func(l string) bool { return len(l) > 63 }):
		return "", fmt.Errorf("%s, got %s", want, quoted(text))
	}
	return strings.ToLower(text), nil
}

// checkPrefix returns a URL path prefix without a slash at its end.
func checkPrefix(text string) (string, error) {
	if !pathShape.MatchString(text) || strings.ContainsAny(text, "?#*") || strings.Contains(text, "//") {
		return "", fmt.Errorf("want a URL prefix such as /api, got %s", quoted(text))
	}
	return "/" + strings.Trim(text, "/"), nil
}

func (s Settings) routeProblems() []problem {
	var all []problem
	if s.Public != nil && !*s.Public {
		if len(s.Domains) > 0 {
			all = append(all, problem{"domains: not with public: false, which keeps everyone out", []string{"domains", "public"}, ""})
		}
		if len(s.Paths) > 0 {
			all = append(all, problem{"paths: not with public: false, which keeps everyone out", []string{"paths", "public"}, ""})
		}
		return all
	}
	if len(s.Paths) > 0 && len(s.Domains) == 0 {
		all = append(all, problem{"paths: say domains too: these are the prefixes below them", []string{"paths", "domains"}, ""})
	}
	return all
}

// sortedPaths returns the prefixes sorted; nil if that is all there is.
func sortedPaths(paths []string) []string {
	if len(paths) == 0 || slices.Contains(paths, "/") {
		return nil
	}
	return slices.Sorted(slices.Values(paths))
}

// checkRoutes records two services for one domain and prefix; the services are
// those of the named environment.
func (p *parser) checkRoutes(at, environment string, services []Service) {
	first := make(map[string]string)
	for _, s := range services {
		for _, domain := range s.Domains {
			for _, path := range orRoot(s.Paths) {
				route := domain + path
				other, taken := first[route]
				if !taken {
					first[route] = s.Name
					continue
				}
				p.failFirst(fmt.Sprintf("domains: %s leads to service %q already", strings.TrimSuffix(route, "/"), other),
					below(at, "environments", environment, "services", s.Name, "domains"),
					below(at, "environments", environment, "services", s.Name, "paths"),
					below(at, "services", s.Name, "domains"))
			}
		}
	}
}

func orRoot(paths []string) []string {
	if len(paths) == 0 {
		return []string{"/"}
	}
	return paths
}

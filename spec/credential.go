package spec

import "regexp"

// credential is a shape that only secrets have.
type credential struct {
	what  string
	shape *regexp.Regexp
}

// credentials returns the shapes that are refused wherever a file could carry a
// value. They have to be certain: a refused value that is no secret stops a
// deploy.
func credentials() []credential {
	return []credential{
		{"an AWS access key", regexp.MustCompile(`\b(?:AKIA|ASIA)[0-9A-Z]{16}\b`)},
		{"a GitHub token", regexp.MustCompile(`\b(?:gh[pousr]_[A-Za-z0-9_]{16,}|github_pat_[A-Za-z0-9_]{16,})`)},
		{"a private key", regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY`)},
		{"a Slack token", regexp.MustCompile(`\bxox[abeprs]-[A-Za-z0-9-]{10,}`)},
		{"a Stripe key", regexp.MustCompile(`\b[rs]k_live_[A-Za-z0-9]{16,}`)},
		{"a Slack webhook", regexp.MustCompile(`\bhooks\.slack\.com/services/T[A-Za-z0-9]+/B[A-Za-z0-9]+/[A-Za-z0-9]{16,}`)},
		{"a SendGrid key", regexp.MustCompile(`\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}`)},
		{"a GitLab token", regexp.MustCompile(`\bglpat-[A-Za-z0-9_-]{20}`)},
		{"an npm token", regexp.MustCompile(`\bnpm_[A-Za-z0-9]{36}`)},
		// A user or a password that is ${…}, {{…}} or <…> is a placeholder.
		{"a URL with a password", regexp.MustCompile(`\b[a-z][a-z0-9+.-]*://(?:\$\{[^}]*\}|\{\{.*?\}\}|[^\s/:@?#${])*:[^\s/@?#${<]+[^\s/@?#]*@`)},
	}
}

// looksLikeCredential returns what value seems to hold, or nothing.
func (p *parser) looksLikeCredential(value string) (what string, found bool) {
	for _, c := range p.credentials {
		if c.shape.MatchString(value) {
			return c.what, true
		}
	}
	return "", false
}

// Credentials returns a function that says what a value seems to hold if it has
// a shape that only secrets have. Who repeats the value in a message undoes it.
func Credentials() func(value string) (what string, found bool) {
	p := &parser{credentials: credentials()}
	return p.looksLikeCredential
}

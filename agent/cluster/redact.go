package cluster

import (
	"regexp"
	"strings"
)

// redacted stands where a secret was.
const redacted = "[redacted]"

// The shapes of secrets are compiled once; they never change. The list is
// generous: a log line that lost a harmless word costs less than a leaked token.
var (
	privateKey = regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----|\z)`)
	tokens     = regexp.MustCompile(strings.Join([]string{
		`\bgh[a-z]_[A-Za-z0-9_.-]{10,}`,                                // GitHub, the stateless ones with a JWT inside too
		`\bgithub_pat_[A-Za-z0-9_]{10,}`,                               // GitHub, fine-grained
		`\b(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{16}\b`,                      // AWS key ids
		`\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(\.[A-Za-z0-9_-]*)*`, // JWT
		`\bxox[abeprs]-[A-Za-z0-9-]{10,}`,                              // Slack
		`\b[rs]k_(?:live|test)_[A-Za-z0-9]{10,}`,                       // Stripe
		`\bsk-[A-Za-z0-9_-]{20,}`,                                      // several makers of models
		`\bglpat-[A-Za-z0-9_-]{10,}`,                                   // GitLab
		`\bnpm_[A-Za-z0-9]{20,}`,                                       // npm
		`\bAIza[0-9A-Za-z_-]{30,}`,                                     // Google
		`\bSG\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}`,                 // SendGrid
	}, "|"))
	ansi     = regexp.MustCompile("\x1b\\[[0-9;?]*[ -/]*[@-~]")
	userinfo = regexp.MustCompile(`\b([A-Za-z][A-Za-z0-9+.-]*://)[^\s/"'<>]+@`)
	bearer   = regexp.MustCompile(`(?i)\b((?:authorization["']?\s*[:=]\s*["']?)?(?:bearer|basic)\s+)[A-Za-z0-9+/._~=-]{8,}`)
	assigned = regexp.MustCompile(`(?i)((?:[a-z0-9_.-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)[a-z0-9_.-]*|\bpwd)\\?["']?\s*(?:=>|[:=])\s*)(\[redacted\]|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|\\"[^"\\]*|[^\s,;&"'\[\]{}()]+)`)
)

// redact takes what looks like a secret out of text. It cannot know every
// secret: what an app logs is the app's to keep clean.
func redact(text string) string {
	text = privateKey.ReplaceAllString(text, redacted)
	text = tokens.ReplaceAllString(text, redacted)
	text = userinfo.ReplaceAllString(text, "${1}"+redacted+"@")
	text = bearer.ReplaceAllString(text, "${1}"+redacted)
	return assigned.ReplaceAllString(text, "${1}"+redacted)
}

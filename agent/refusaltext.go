package agent

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// deniedWords are those of a Denied, of which the message alone is durable: the
// field, and what it is.
var deniedWords = regexp.MustCompile(`^denied by policy: (?:rule "(?:[^"\\]|\\.)*": |the App has no rule for this environment: )?([A-Za-z ]+|a domain of service "[^"]*") is ("(?:[^"\\]|\\.)*"), want `)

// title is one line for lists of checks.
func (r Refusal) title() string {
	switch {
	case !r.Superseded:
		return oneLine("Denied: " + clip(r.why(), maxHeadline))
	case r.SupersededBy == "":
		return "Superseded"
	}
	return "Superseded by " + short(r.SupersededBy)
}

// why says in a few words what was not allowed where; the rule where only that is
// known.
func (r Refusal) why() string {
	switch r.Rule {
	case "signature":
		return "not signed by anyone whom the App trusts"
	case "order: one intent per run attempt":
		return "the run has deployed something else already"
	}
	found := deniedWords.FindStringSubmatch(r.Message)
	if found == nil {
		return r.Rule
	}
	field, environment := found[1], r.Line.Environment
	got, err := strconv.Unquote(found[2])
	if err != nil {
		return r.Rule
	}
	switch {
	case field == "environment" && (r.Rule == ruleNone || strings.HasPrefix(r.Message, "denied by policy: rule ")):
		return "no rule of the App is about " + environment
	case field == "environment" && r.Rule == "policy: previews":
		return "the App has no previews"
	case field == "environment":
		return "the App has no environment " + got
	case field == "ref":
		return got + " may not deploy to " + environment
	case field == "repository ID":
		_, name, _ := strings.Cut(strings.TrimSuffix(got, ")"), " (")
		return "the repository " + orElse(name, got) + " may not deploy to " + environment
	case field == "image repository":
		return "images of " + got + " may not run in " + environment
	case field == "kind":
		return "a " + got + " is not allowed in " + environment
	case field == "number of previews":
		return "there are as many previews as the App may have"
	case strings.HasPrefix(field, "a domain of"):
		return "the domain " + got + " is not of " + environment
	case got == "":
		return fmt.Sprintf("without %s nothing may deploy to %s", field, environment)
	}
	return fmt.Sprintf("the %s %s may not deploy to %s", field, got, environment)
}

// next says what to do about a denial.
func (r Refusal) next() string {
	return fmt.Sprintf("change what the rule names and run the workflow again, or ask the platform owner, who keeps the rules in the App resource %s of the cluster", r.Line.App)
}

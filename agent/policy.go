package agent

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

// Policy is an App's rules, compiled once. It denies what no rule allows.
type Policy struct {
	app     App
	rules   []compiledRule
	domains map[string][]*regexp.Regexp // by environment
}

type compiledRule struct {
	Rule
	refs      []*regexp.Regexp
	workflows []*regexp.Regexp
	heads     []*regexp.Regexp // of branches that have the code of forks
}

// Grant is what policy allows an intent.
type Grant struct {
	Rule        string // name of the rule that allows it
	Environment Environment
	Force       bool // it may overrule ordering
}

// Denied is policy's no: which rule came closest, and what it got and wanted.
type Denied struct { //nolint:errname // because it is a decision first
	Rule  string // "policy: ref"
	Field string
	Got   string
	Want  string
	By    string // name of the rule that came closest; empty if there is none
	Next  string // what to do about it; may be empty
}

func (d *Denied) Error() string {
	text := fmt.Sprintf("%s is %q, want %s", d.Field, d.Got, d.Want)
	switch {
	case d.By != "":
		text = fmt.Sprintf("rule %q: %s", d.By, text)
	case d.Rule == ruleNone:
		text = "the App has no rule for this environment: " + text
	}
	if d.Next != "" {
		text += "; " + d.Next
	}
	return "denied by policy: " + text
}

// ruleNone is the Rule of a Denied when no rule names the environment.
const ruleNone = "policy: no rule"

// ruleApp is the Rule of an intent that is for another app. What is wrong is where it
// was published, or what the App says: that is for the App whose intents they are.
const ruleApp = "policy: app"

// defaultEvents are the events that a rule without any allows.
func defaultEvents() []string { return []string{"push", "workflow_dispatch"} }

// CompilePolicy checks an App's rules and domains once; the error names the rule
// or the environment, and the pattern.
func CompilePolicy(app App) (Policy, error) {
	domains, err := compileDomains(app)
	if err != nil {
		return Policy{}, err
	}
	if app.PreviewPolicy != nil {
		if err := app.PreviewPolicy.check(app); err != nil {
			return Policy{}, err
		}
	}
	p := Policy{app: app, domains: domains}
	for i, rule := range app.Rules {
		if rule.Name == "" {
			rule.Name = "#" + strconv.Itoa(i+1)
		}
		if rule.RepositoryID == 0 {
			return Policy{}, fmt.Errorf("rule %q: repositoryID is missing: a name alone can be registered anew by somebody else", rule.Name)
		}
		c := compiledRule{Rule: rule}
		if c.refs, err = compilePatterns(rule.Refs); err != nil {
			return Policy{}, fmt.Errorf("rule %q: refs: %w", rule.Name, err)
		}
		if c.workflows, err = compilePatterns(rule.Workflows); err != nil {
			return Policy{}, fmt.Errorf("rule %q: workflows: %w", rule.Name, err)
		}
		if c.heads, err = forkHeads(app); err != nil {
			return Policy{}, err
		}
		p.rules = append(p.rules, c)
	}
	return p, nil
}

// compilePatterns anchors each pattern; "*" is any run of characters but "/".
func compilePatterns(patterns []string) ([]*regexp.Regexp, error) {
	compiled := make([]*regexp.Regexp, 0, len(patterns))
	for _, pattern := range patterns {
		if pattern == "" {
			return nil, fmt.Errorf("a pattern is empty")
		}
		parts := strings.Split(pattern, "*")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		re, err := regexp.Compile(`\A` + strings.Join(parts, "[^/]*") + `\z`)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", pattern, err)
		}
		compiled = append(compiled, re)
	}
	return compiled, nil
}

// Judge says whether a verified intent may have what it asks for. The error is
// a *Denied.
func (p Policy) Judge(v intent.Verified) (Grant, error) {
	s := v.Statement()
	want := s.Predicate
	environment, denied := p.environment(want)
	if denied != nil {
		return Grant{}, denied
	}
	if denied := p.judgeImage(s.Image()); denied != nil {
		return Grant{}, denied
	}
	// The rule that gets furthest explains the denial best.
	denial, furthest := &Denied{Rule: ruleNone, Field: "environment", Got: want.Environment, Want: "a rule that names it"}, -1
	for _, rule := range p.rules {
		steps := rule.steps(v, environment)
		failed := slices.IndexFunc(steps, func(s step) bool { return !s.holds })
		if failed < 0 {
			if denied := p.judgeApp(want.Spec, environment); denied != nil {
				return Grant{}, denied
			}
			return Grant{Rule: rule.Name, Environment: environment, Force: rule.AllowForce}, nil
		}
		if failed > furthest {
			furthest = failed
			at := steps[failed]
			denial = &Denied{Rule: "policy: " + at.field, Field: at.field, Got: at.got, Want: at.want, By: rule.Name}
		}
	}
	return Grant{}, denial
}

// judgeImage says whether an image, if there is one, is of the App's repositories;
// nil if it is.
func (p Policy) judgeImage(image string) *Denied {
	repository, _, named := strings.Cut(image, "@")
	if !named || slices.Contains(p.app.Images, repository) {
		return nil
	}
	return &Denied{Rule: "policy: image", Field: "image repository", Got: repository, Want: list(p.app.Images)}
}

// judgeRelease says whether what an earlier release runs may run today; nil if it
// may. Policy may have changed since it was admitted.
func (p Policy) judgeRelease(old Release, environment Environment) *Denied {
	if denied := p.judgeImage(old.Image); denied != nil {
		return denied
	}
	return p.judgeApp(&old.App, environment)
}

// judgeApp says whether the environment lets an app be as it wants to; nil if it
// does.
func (p Policy) judgeApp(app *spec.App, environment Environment) *Denied {
	if denied := p.judgeDomains(app, environment); denied != nil {
		return denied
	}
	return p.judgeDatabases(app, environment)
}

// judgeRule says whether the rule that let r in is there today, and would let in that
// source; nil if it is. Who asked in the cluster was let in by none.
func (p Policy) judgeRule(r Release, environment Environment, fork bool) *Denied {
	if r.Evidence.Scheme == requestScheme {
		return nil
	}
	holds := slices.ContainsFunc(p.rules, func(rule compiledRule) bool {
		return rule.Name == r.Rule && rule.names(environment) && rule.RepositoryID == r.Source.RepositoryID && rule.Forks == fork && matches(rule.refs, r.Source.Ref)
	})
	if holds {
		return nil
	}
	return &Denied{Rule: "policy: rule", Field: "rule", Got: r.Rule, Want: "a rule of that name that allows it today", By: r.Rule}
}

type step struct {
	field     string
	holds     bool
	got, want string
}

// steps are a rule's conditions in the order in which they are told.
func (r compiledRule) steps(v intent.Verified, environment Environment) []step {
	p, claims := v.Statement().Predicate, v.Evidence().Claims
	source, events := open(p.Source, environment, p.Kind), r.eventsIn(environment)
	steps := []step{
		{"environment", r.names(environment), p.Environment, list(r.Environments)},
		{"repository ID", source.RepositoryID == r.RepositoryID, strconv.FormatInt(source.RepositoryID, 10) + " (" + source.Repository + ")", strconv.FormatInt(r.RepositoryID, 10)},
		{"repository owner ID", r.RepositoryOwnerID == 0 || source.RepositoryOwnerID == r.RepositoryOwnerID, strconv.FormatInt(source.RepositoryOwnerID, 10), strconv.FormatInt(r.RepositoryOwnerID, 10)},
		{"event", slices.Contains(events, source.Event), source.Event, list(events)},
		{"ref", matches(r.refs, source.Ref), source.Ref, list(r.Refs)},
		{"workflow", len(r.workflows) == 0 || matches(r.workflows, source.WorkflowRef), source.WorkflowRef, list(r.Workflows)},
		{"GitHub environment", r.GitHubEnvironment == "" || claims["environment"] == r.GitHubEnvironment, claims["environment"], strconv.Quote(r.GitHubEnvironment)},
		{"kind", p.Kind != intent.Rollback || r.AllowRollback, string(p.Kind), "allowRollback: true on the rule"},
		{"kind", p.Kind != intent.Destroy || environment.PullRequest != 0, string(p.Kind), "deploy or rollback: previews alone are destroyed"},
	}
	if environment.PullRequest != 0 {
		steps = append(steps, previewSteps(source, environment)...)
		if p.Kind != intent.Destroy { // what takes a preview away is no danger
			steps = append(steps, r.forkStep(claims[headClaim]))
		}
	}
	if environment.Production {
		steps = append(steps,
			step{"event", !strings.HasPrefix(source.Event, "pull_request") || r.AllowPullRequests, source.Event, "no pull-request event in a production environment"},
			step{"ref", r.AllowUnprotected || r.protected(source.Ref, claims["ref_protected"]), source.Ref, "a protected ref, named without a pattern, in a production environment"})
	}
	return steps
}

func matches(patterns []*regexp.Regexp, value string) bool {
	return slices.ContainsFunc(patterns, func(re *regexp.Regexp) bool { return re.MatchString(value) })
}

// protected believes GitHub's word where a token carries it; without one, a ref
// counts as protected when the platform owner spelled it out.
func (r compiledRule) protected(ref, claim string) bool {
	return slices.Contains(r.Refs, ref) && claim != "false"
}

func list(wants []string) string {
	if len(wants) == 0 {
		return "nothing: the list is empty"
	}
	quoted := make([]string, len(wants))
	for i, w := range wants {
		quoted[i] = strconv.Quote(w)
	}
	return strings.Join(quoted, " or ")
}

package agent

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"maps"
	"strconv"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/inhaul/inhaul/intent"
)

func judge(tb testing.TB, app App, v intent.Verified) (Grant, *Denied) {
	tb.Helper()
	policy, err := CompilePolicy(app)
	if err != nil {
		tb.Fatal(err)
	}
	grant, err := policy.Judge(v)
	denied := (*Denied)(nil)
	if err != nil && !errors.As(err, &denied) {
		tb.Fatalf("got %T %v, want a *Denied", err, err)
	}
	return grant, denied
}

// asked is a push to main for production, changed.
func asked(tb testing.TB, change func(*intent.Predicate)) intent.Verified {
	tb.Helper()
	r := push(1, 0, 1)
	r.change = change
	return verified(tb, r)
}

func TestPolicyAllows(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*intent.Predicate)
		rule   string
		force  bool
	}{
		{"a push to the named branch", nil, "main to production", false},
		{"a run that somebody started by hand", func(p *intent.Predicate) { p.Source.Event = "workflow_dispatch" }, "main to production", false},
		{"a branch that matches a pattern", func(p *intent.Predicate) { p.Environment, p.Source.Ref = "staging", "refs/heads/feature" }, "anything to staging", true},
		{"host names that the platform owner allows", hosts("shop.example.com", "*.pages.example.com"), "main to production", false},
		{"a rollback where the rule lets it", func(p *intent.Predicate) { p.Kind, p.Spec, p.RollbackTo = intent.Rollback, nil, 1 }, "main to production", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app := testApp(t)
			app.Environments[0].Domains = []string{"*.example.com"}
			grant, denied := judge(t, app, asked(t, test.change))
			if denied != nil || grant.Rule != test.rule || grant.Force != test.force || grant.Environment.Namespace == "" {
				t.Errorf("got %+v, %v; want rule %q, force %t", grant, denied, test.rule, test.force)
			}
		})
	}
}

func TestPolicyDenies(t *testing.T) {
	t.Parallel()
	rule := func(change func(*Rule)) func(*App) { return func(a *App) { change(&a.Rules[0]) } }
	on := func(ref string) func(*intent.Predicate) { return func(p *intent.Predicate) { p.Source.Ref = ref } }
	domains := func(patterns ...string) func(*App) { return func(a *App) { a.Environments[0].Domains = patterns } }
	event := func(event string) func(*intent.Predicate) {
		return func(p *intent.Predicate) { p.Source.Event = event }
	}
	for _, test := range []struct {
		name   string
		app    func(*App) // may be nil
		change func(*intent.Predicate)
		rule   string
		by     string
		want   string // in the error
	}{
		{"everything, without a rule", func(a *App) { a.Rules = nil }, nil, "policy: no rule", "", "the App has no rule for this environment"},
		{"an environment that the App does not have", nil, func(p *intent.Predicate) { p.Environment = "nowhere" }, "policy: environment", "", `environment is "nowhere"`},
		{"an environment that no rule names", func(a *App) { a.Environments = append(a.Environments, Environment{Name: "qa"}) }, func(p *intent.Predicate) { p.Environment = "qa" }, "policy: environment", "main to production", `environment is "qa", want "production"`},
		{"an image from elsewhere", func(a *App) { a.Images = []string{"registry.example/acme/other"} }, nil, "policy: image", "", testImages + `", want "registry.example/acme/other"`},
		{"an image whose repository only begins the same", func(a *App) { a.Images = []string{testImages[:len(testImages)-1]} }, nil, "policy: image", "", testImages},
		{"a foreign repository of the same name", nil, func(p *intent.Predicate) { p.Source.RepositoryID = 4321 }, "policy: repository ID", "main to production", `repository ID is "4321 (acme/storefront)", want 1234`},
		{"another owner", rule(func(r *Rule) { r.RepositoryOwnerID = 77 }), nil, "policy: repository owner ID", "main to production", `is "99", want 77`},
		{"an event that is not named", nil, event("schedule"), "policy: event", "main to production", `event is "schedule", want "push" or "workflow_dispatch"`},
		{"an event outside the rule's own list", rule(func(r *Rule) { r.Events = []string{"release"} }), nil, "policy: event", "main to production", `event is "push", want "release"`},
		{"another branch", nil, on("refs/heads/feature"), "policy: ref", "main to production", `ref is "refs/heads/feature", want "refs/heads/main"`},
		{"a branch that begins like the named one", nil, on("refs/heads/main2"), "policy: ref", "main to production", "refs/heads/main2"},
		{"a branch that ends like the named one", nil, on("x/refs/heads/main"), "policy: ref", "main to production", "x/refs/heads/main"},
		{"a branch with a line break", nil, on("refs/heads/main\n"), "policy: ref", "main to production", `\n`},
		{"a tag of the branch's name", nil, on("refs/tags/main"), "policy: ref", "main to production", "refs/tags/main"},
		{"a ref, where none is listed", rule(func(r *Rule) { r.Refs = nil }), nil, "policy: ref", "main to production", "want nothing: the list is empty"},
		{"a star over a slash", nil, func(p *intent.Predicate) { p.Environment, p.Source.Ref = "staging", "refs/heads/team/feature" }, "policy: ref", "anything to staging", "refs/heads/team/feature"},
		{"another workflow", rule(func(r *Rule) { r.Workflows = []string{"acme/storefront/.github/workflows/release.yml@refs/heads/main"} }), nil, "policy: workflow", "main to production", "deploy.yml"},
		{"a workflow of another ref", rule(func(r *Rule) { r.Workflows = []string{"acme/storefront/.github/workflows/*@refs/heads/main"} }), func(p *intent.Predicate) {
			p.Source.WorkflowRef = "acme/storefront/.github/workflows/deploy.yml@refs/heads/evil"
		}, "policy: workflow", "main to production", "refs/heads/evil"},
		{"a rule that wants a GitHub environment, for a key that tells none", rule(func(r *Rule) { r.GitHubEnvironment = "production" }), nil, "policy: GitHub environment", "main to production", `is "", want "production"`},
		{"a rollback where the rule does not let it", rule(func(r *Rule) { r.AllowRollback = false }), func(p *intent.Predicate) { p.Kind, p.Spec, p.RollbackTo = intent.Rollback, nil, 1 }, "policy: kind", "main to production", `kind is "rollback", want allowRollback: true`},
		{"a host name, where none is listed", nil, hosts("shop.example.com"), "policy: domains", "", `a domain of service "web" is "shop.example.com", want nothing: the list is empty; the platform owner adds it to spec.environments[].domains of App "storefront", environment "production"`},
		{"a host name outside the list", domains("*.example.com", "example.org"), hosts("shop.example.com", "shop.example.org"), "policy: domains", "", `is "shop.example.org", want "*.example.com" or "example.org"`},
		{"a host name of another environment", func(a *App) { a.Environments[1].Domains = []string{"*"} }, hosts("shop.example.com"), "policy: domains", "", "shop.example.com"},
		{"a host name of a private service, which no file can ask for", nil, func(p *intent.Predicate) { hosts("shop.example.com")(p); p.Spec.Services[0].Private = true }, "policy: domains", "", "shop.example.com"},
		{"a foreign repository, before its host names", nil, func(p *intent.Predicate) { hosts("shop.example.com")(p); p.Source.RepositoryID = 4321 }, "policy: repository ID", "main to production", "4321"},
		{"a destroy", nil, func(p *intent.Predicate) { p.Kind, p.Spec = intent.Destroy, nil }, "policy: kind", "main to production", "previews alone are destroyed"},
		{"a pull request in production, although the rule names the event", rule(func(r *Rule) { r.Events = []string{"pull_request"} }), event("pull_request"), "policy: event", "main to production", "no pull-request event in a production environment"},
		{"a pull request of the target's context in production", rule(func(r *Rule) { r.Events = []string{"pull_request_target"} }), event("pull_request_target"), "policy: event", "main to production", "no pull-request event"},
		{"a pattern of refs in production", rule(func(r *Rule) { r.Refs = []string{"refs/heads/*"} }), nil, "policy: ref", "main to production", "a protected ref, named without a pattern"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app := testApp(t)
			if test.app != nil {
				test.app(&app)
			}
			grant, denied := judge(t, app, asked(t, test.change))
			if denied == nil {
				t.Fatalf("got %+v, want a denial", grant)
			}
			if denied.Rule != test.rule || denied.By != test.by || !strings.Contains(denied.Error(), test.want) {
				t.Errorf("got %q by rule %q: %v; want %q by rule %q with %q", denied.Rule, denied.By, denied, test.rule, test.by, test.want)
			}
			if grant.Rule != "" || grant.Environment.Name != "" || grant.Force {
				t.Errorf("got grant %+v along with the denial", grant)
			}
		})
	}
}

func TestPolicyOpensProductionWhereToldTo(t *testing.T) {
	t.Parallel()
	app := testApp(t)
	app.Rules[0].Events, app.Rules[0].AllowPullRequests = []string{"pull_request"}, true
	app.Rules[0].Refs, app.Rules[0].AllowUnprotected = []string{"refs/pull/*/merge"}, true
	_, denied := judge(t, app, asked(t, func(p *intent.Predicate) { p.Source.Event, p.Source.Ref = "pull_request", "refs/pull/7/merge" }))
	if denied != nil {
		t.Errorf("got %v, want it allowed", denied)
	}
}

func TestPolicyExplainsByTheRuleThatCameClosest(t *testing.T) {
	t.Parallel()
	app := testApp(t)
	app.Rules = []Rule{
		{Name: "another repository", Environments: []string{"production"}, RepositoryID: 1, Refs: []string{"refs/heads/main"}},
		{Name: "release branches", Environments: []string{"production"}, RepositoryID: 1234, Refs: []string{"refs/heads/release"}},
		{Name: "another environment", Environments: []string{"staging"}, RepositoryID: 1234, Refs: []string{"refs/heads/main"}},
	}
	if _, denied := judge(t, app, asked(t, nil)); denied == nil || denied.By != "release branches" || denied.Rule != "policy: ref" {
		t.Errorf("got %v, want the rule for release branches to explain by its ref", denied)
	}
}

func TestPolicyTakesTheFirstRuleThatAllows(t *testing.T) {
	t.Parallel()
	app := testApp(t)
	second := app.Rules[0]
	second.Name, second.AllowForce = "second", true
	app.Rules = append(app.Rules, second)
	if grant, _ := judge(t, app, asked(t, nil)); grant.Rule != "main to production" || grant.Force {
		t.Errorf("got %+v, want the first rule's grant", grant)
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, value string
		want           bool
	}{
		{"refs/heads/main", "refs/heads/main", true},
		{"refs/heads/main", "refs/heads/main2", false},
		{"refs/heads/main", "refs/heads/main\n", false},
		{"refs/heads/main", "xrefs/heads/main", false},
		{"refs/heads/main", "REFS/HEADS/MAIN", false},
		{"refs/heads/*", "refs/heads/feature", true},
		{"refs/heads/*", "refs/heads/", true},
		{"refs/heads/*", "refs/heads/team/feature", false},
		{"refs/heads/*/*", "refs/heads/team/feature", true},
		{"refs/heads/release-*", "refs/heads/release-1.2", true},
		{"refs/heads/release-*", "refs/heads/prerelease-1", false},
		{"refs/heads/v1.0", "refs/heads/v1x0", false},
		{"refs/heads/(main|dev)", "refs/heads/main", false},
		{"refs/heads/[a-z]", "refs/heads/a", false},
		{"refs/heads/a+", "refs/heads/aa", false},
		{`refs/heads/\d`, "refs/heads/1", false},
		{"refs/heads/main|refs/heads/evil", "refs/heads/evil", false},
		{"*", "main", true},
		{"*", "refs/heads/main", false},
	} {
		compiled, err := compilePatterns([]string{test.pattern})
		if err != nil {
			t.Fatal(err)
		}
		if got := compiled[0].MatchString(test.value); got != test.want {
			t.Errorf("pattern %q, value %q: got %t, want %t", test.pattern, test.value, got, test.want)
		}
	}
}

func TestCompilePolicyRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Rule)
		want   string
	}{
		"a rule without repositoryID": {func(r *Rule) { r.RepositoryID = 0 }, `rule "main to production": repositoryID is missing`},
		"such a rule without a name":  {func(r *Rule) { r.RepositoryID, r.Name = 0, "" }, `rule "#1"`},
		"an empty ref pattern":        {func(r *Rule) { r.Refs = []string{""} }, "refs: a pattern is empty"},
		"an empty workflow pattern":   {func(r *Rule) { r.Workflows = []string{"a", ""} }, "workflows: a pattern is empty"},
	} {
		app := testApp(t)
		test.change(&app.Rules[0])
		if _, err := CompilePolicy(app); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

// TestPolicyBelievesTheToken is about what GitHub's word adds to the statement.
func TestPolicyBelievesTheToken(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		claims map[string]any
		change func(*Rule)
		rule   string // of the denial; empty: allowed
	}{
		{"a protected ref", map[string]any{"ref_protected": "true"}, nil, ""},
		{"a ref that the token says nothing about", nil, nil, ""},
		{"an unprotected ref", map[string]any{"ref_protected": "false"}, nil, "policy: ref"},
		{"an unprotected ref where the rule lets it", map[string]any{"ref_protected": "false"}, func(r *Rule) { r.AllowUnprotected = true }, ""},
		{"a protected ref by a pattern", map[string]any{"ref_protected": "true"}, func(r *Rule) { r.Refs = []string{"refs/heads/*"} }, "policy: ref"},
		{"the GitHub environment that the rule wants", map[string]any{"environment": "production"}, func(r *Rule) { r.GitHubEnvironment = "production" }, ""},
		{"another GitHub environment", map[string]any{"environment": "Production"}, func(r *Rule) { r.GitHubEnvironment = "production" }, "policy: GitHub environment"},
		{"no GitHub environment", nil, func(r *Rule) { r.GitHubEnvironment = "production" }, "policy: GitHub environment"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app := testApp(t)
			if test.change != nil {
				test.change(&app.Rules[0])
			}
			grant, denied := judge(t, app, byToken(t, key, test.claims))
			got := ""
			if denied != nil {
				got = denied.Rule
			}
			if got != test.rule {
				t.Errorf("got %+v, %v; want denial %q", grant, denied, test.rule)
			}
		})
	}
}

// byToken is a push to main that a token of GitHub with these claims signs.
func byToken(tb testing.TB, key *rsa.PrivateKey, extra map[string]any) intent.Verified {
	tb.Helper()
	return runByToken(tb, key, push(1, 0, 1), extra)
}

func runByToken(tb testing.TB, key *rsa.PrivateKey, r run, extra map[string]any) intent.Verified {
	tb.Helper()
	const issuer = "https://token.actions.githubusercontent.com"
	statement := r.statement()
	s := statement.Predicate.Source
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	token := func(_ context.Context, audience string) (string, error) {
		claims := map[string]any{
			"iss": issuer, "aud": audience, "jti": "a-token", "iat": r.issuedAt.Unix(), "repository": s.Repository,
			"repository_id": number(s.RepositoryID), "repository_owner_id": number(s.RepositoryOwnerID), "ref": s.Ref, "sha": s.Commit,
			"workflow_ref": s.WorkflowRef, "event_name": s.Event, "run_id": number(s.RunID), "run_number": number(s.RunNumber),
			"run_attempt": number(s.RunAttempt), "actor": s.Actor,
		}
		maps.Copy(claims, extra)
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "one"))
		if err != nil {
			return "", err
		}
		return jwt.Signed(signer).Claims(claims).Serialize()
	}
	data, _, err := intent.Sign(tb.Context(), statement, intent.NewGitHubSigner(token))
	if err != nil {
		tb.Fatal(err)
	}
	keys := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "one", Algorithm: "RS256", Use: "sig"}}}
	v, err := intent.Verify(data, intent.Trust{Issuers: []intent.Issuer{{URL: issuer, Keys: keys}}}, r.issuedAt)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

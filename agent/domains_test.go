package agent

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

// hosts gives the app's service these host names.
func hosts(domains ...string) func(*intent.Predicate) {
	return func(p *intent.Predicate) { p.Spec.Services[0].Domains = domains }
}

func TestDomainPatterns(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, domain string
		want            bool
	}{
		{"shop.example.com", "shop.example.com", true},
		{"shop.example.com", "SHOP.Example.com", true},
		{"shop.example.com", "www.shop.example.com", false},
		{"shop.example.com", "shopXexample.com", false},
		{"shop.example.com", "shop.example.com.", false},
		{"*.example.com", "shop.example.com", true},
		{"*.example.com", "a.b.c.example.com", true},
		{"*.example.com", "*.example.com", true},
		{"*.example.com", "*.shop.example.com", true},
		{"*.example.com", "shop.*.example.com", false},
		{"*.example.com", "example.com", false},
		{"*.example.com", ".example.com", false},
		{"*.example.com", "evilexample.com", false},
		{"*.example.com", "shop.example.com.evil.org", false},
		{"*.example.com", "evil.org/shop.example.com", false},
		{"*.example.com", "evil.org\nshop.example.com", false},
		{"*.example.com", "-.example.com", false},
		{"*", "shop.example.com", true},
		{"*", "*.example.com", true},
		{"*", "*", false},
		{"*", "shop.example.com\n", false},
		{"*", "http://shop.example.com", false},
		{"*", "", false},
	} {
		app := testApp(t)
		app.Environments[0].Domains = []string{test.pattern}
		policy, err := CompilePolicy(app)
		if err != nil {
			t.Fatal(err)
		}
		of := &spec.App{Services: []spec.Service{{Name: "web", Type: spec.Web, Domains: []string{test.domain}}}}
		if got := policy.judgeDomains(of, app.Environments[0]) == nil; got != test.want {
			t.Errorf("pattern %q, domain %q: got allowed %t, want %t", test.pattern, test.domain, got, test.want)
		}
	}
}

func TestCompilePolicyRefusesDomains(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"", "shop.*.example.com", "*shop.example.com", "**.example.com", "*.", "*.*", "Shop.example.com", "https://shop.example.com", "shop.example.com:443", "shop.example.com/", "-shop.example.com", ".example.com", "example.com\n", strings.Repeat("a", 64) + ".com"} {
		app := testApp(t)
		app.Environments[0].Domains = []string{"shop.example.com", pattern}
		_, err := CompilePolicy(app)
		if want := fmt.Sprintf(`environment "production": domains: pattern %q`, pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestARollbackByNumberIsJudgedByTheDomainsOfToday is about a host name that the
// platform owner has taken away since.
func TestARollbackByNumberIsJudgedByTheDomainsOfToday(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.app.Environments[0].Domains = []string{"shop.example.com"}
		v1, back := push(1, 0, 1), push(3, 4, 5)
		v1.change = hosts("shop.example.com")
		back.change = func(p *intent.Predicate) { p.Kind, p.Spec, p.RollbackTo = intent.Rollback, nil, 1 }
		for _, r := range []run{v1, push(2, 2, 3)} {
			w.publish(t, r)
			w.run()
		}
		w.app.Environments[0].Domains = nil
		w.publish(t, back)
		w.run()
		if got := w.app.Status.Refusals; len(w.releases) != 2 || len(got) != 1 || got[0].Rule != "policy: domains" {
			t.Errorf("got %d releases and %+v, want the rollback denied", len(w.releases), got)
		}
	})
}

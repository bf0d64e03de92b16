package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/inhaul/inhaul/agent"
)

// parsed are the settings of an environment.
func parsed(t *testing.T, environment map[string]string) (settings, error) {
	t.Helper()
	return parse(nil, func(name string) string { return environment[name] })
}

func secret(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWhatIsConfiguredTurnsWaysOn(t *testing.T) {
	t.Parallel()
	file := secret(t, "x")
	app := map[string]string{"INHAUL_GITHUB_APP_ID": "7", "INHAUL_GITHUB_APP_KEY_FILE": file}
	with := func(all map[string]string, more ...string) map[string]string {
		set := map[string]string{}
		maps.Copy(set, all)
		for i := 0; i < len(more); i += 2 {
			set[more[i]] = more[i+1]
		}
		return set
	}
	for name, test := range map[string]struct {
		set      map[string]string
		ways     []agent.Way
		receipts bool
	}{
		"nothing":              {nil, nil, true},
		"an App":               {app, []agent.Way{agent.WayCheck, agent.WayDeployment, agent.WayComment}, false},
		"an App, and receipts": {with(app, "INHAUL_RECEIPTS", "on"), []agent.Way{agent.WayCheck, agent.WayDeployment, agent.WayComment}, true},
		"a token":              {with(nil, "INHAUL_GITHUB_TOKEN_FILE", file), []agent.Way{agent.WayStatus}, true},
		"no receipts":          {with(nil, "INHAUL_RECEIPTS", "off"), nil, false},
	} {
		s, err := parsed(t, test.set)
		github := slices.DeleteFunc(s.ways(), func(way agent.Way) bool { return way == agent.WayReceipt })
		if err != nil || !slices.Equal(github, test.ways) || s.receipts != test.receipts {
			t.Errorf("%s: got ways %v, receipts %t, %v; want %v, %t", name, github, s.receipts, err, test.ways, test.receipts)
		}
	}
}

func TestLinksLeadToTheServerOfTheAPI(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ api, server, want string }{
		"GitHub itself":        {"", "", "https://github.com"},
		"an Enterprise Server": {"https://git.acme.example/api/v3", "", "https://git.acme.example"},
		"one that is named":    {"https://api.acme.ghe.com", "https://acme.ghe.com/", "https://acme.ghe.com"},
	} {
		s, err := parsed(t, map[string]string{"INHAUL_GITHUB_API_URL": test.api, "INHAUL_GITHUB_SERVER_URL": test.server})
		if err != nil || s.githubServerURL != test.want {
			t.Errorf("%s: got %q, %v; want %q", name, s.githubServerURL, err, test.want)
		}
	}
}

func TestSettingsThatCannotBeAreNamed(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"INHAUL_RECEIPTS":          "yes",
		"INHAUL_GITHUB_SERVER_URL": "github.com",
		"INHAUL_GITHUB_TOKEN_FILE": "/nowhere/at/all",
		"INHAUL_POLL_INTERVAL":     "1ms",
		"INHAUL_SWEEP_INTERVAL":    "1ms",
		"INHAUL_GITHUB_APP_ID":     "seven",
	} {
		if _, err := parsed(t, map[string]string{name: value}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: got %v, want the name in it", name, value, err)
		}
	}
}

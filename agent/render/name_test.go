package render

import (
	"strings"
	"testing"

	"github.com/inhaul/inhaul/agent"
)

func TestName(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long", 20)
	tests := []struct{ app, service, want string }{
		{"shop", "web", "shop-web"},
		{"shop", "Mail_Sender", "shop-mail-sender"},
		{"1shop", "web", "x-1shop-web"},
		{"", "", "x"},
		{"ümlaut", "web", "mlaut-web"},
	}
	for _, test := range tests {
		got := Name(test.app, test.service)
		if got != test.want {
			t.Errorf("Name(%q, %q): got %q, want %q", test.app, test.service, got, test.want)
		}
		if got := CronJobName(test.app, test.service); got != test.want {
			t.Errorf("CronJobName(%q, %q): got %q, want %q", test.app, test.service, got, test.want)
		}
	}
	if got := Name("shop", long); len(got) != maxLabel || !strings.HasPrefix(got, "shop-longlong") {
		t.Errorf("a long name: got %q of length %d, want %d", got, len(got), maxLabel)
	}
	if got := CronJobName("shop", long); len(got) != maxCronJob || !strings.HasPrefix(got, "shop-longlong") {
		t.Errorf("a long name of a job: got %q of length %d, want %d", got, len(got), maxCronJob)
	}
	if a, b := Name("shop", long+"a"), Name("shop", long+"b"); a == b {
		t.Errorf("two long names are cut to the same %q", a)
	}
}

func TestPredeployName(t *testing.T) {
	t.Parallel()
	release := func(app string, number int) agent.Release {
		return agent.Release{Line: agent.Line{App: app}, Number: number}
	}
	if got, want := PredeployName(release("shop", 12)), "shop-predeploy-r12"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	long := strings.Repeat("long", 20)
	got := PredeployName(release(long, 1234567))
	if len(got) > maxLabel || !strings.HasSuffix(got, "-predeploy-r1234567") {
		t.Errorf("a long name: got %q of length %d, want at most %d and the number whole", got, len(got), maxLabel)
	}
	if other := PredeployName(release(long+"b", 1234567)); other == got {
		t.Errorf("two long names are cut to the same %q", got)
	}
}

func TestConfigHash(t *testing.T) {
	t.Parallel()
	if a, b := ConfigHash(map[string]string{"AB": "C"}), ConfigHash(map[string]string{"A": "BC"}); a == b {
		t.Errorf("different content has the same hash %q", a)
	}
}

func TestSecretName(t *testing.T) {
	t.Parallel()
	got := SecretName("shop", "web", "content")
	if want := "shop-web-secret-"; !strings.HasPrefix(got, want) || strings.Contains(got, "content") {
		t.Errorf("got %q, want it to begin with %q and not to have the content", got, want)
	}
	names := map[string]string{}
	for _, other := range []struct{ app, holder, content string }{
		{"shop", "web", "content"},
		{"shop", "web", "other content"},
		{"shop", "predeploy", "content"},
		{"shop", TaskHolder(agent.TaskPredeploy), "content"},
		{"shop", "worker-queue", "content"},
		{"shop", queueHolder("worker"), "content"},
	} {
		name := SecretName(other.app, other.holder, other.content)
		if first, taken := names[name]; taken {
			t.Errorf("holders %q and %q share the name %q", first, other.holder, name)
		}
		names[name] = other.holder
	}
}

package spec

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mistake is a file and all that is wrong with it, as "line:column: message".
type mistake struct{ name, data, want string }

func refuses(t *testing.T, mistakes []mistake) {
	t.Helper()
	for _, c := range mistakes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("inhaul.yaml", []byte(c.data))
			if _, ok := errors.AsType[Errors](err); !ok {
				t.Fatalf("got %v, want Errors", err)
			}
			want := "inhaul.yaml:" + strings.ReplaceAll(c.want, "\n", "\ninhaul.yaml:")
			if diff := cmp.Diff(want, err.Error()); diff != "" {
				t.Errorf("got +, want -\n%s", diff)
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	// web starts most rows: what follows is in line 5 and deeper.
	const web = "app: shop\nservices:\n  web:\n    type: web\n"
	const secret = ": a secret never belongs in inhaul.yaml, which everyone with the repository can read; remove it and replace the secret, for it is known now"
	refuses(t, []mistake{
		{"refuses an empty file", "", `1:1: the file is empty: want at least "app" and "services"`},
		{"refuses a file of comments", "# nothing\n", `1:1: the file is empty: want at least "app" and "services"`},
		{"refuses a list", "- app\n", `1:1: want keys and values, got a list`},
		{"refuses a word", "shop\n", `1:1: want keys and values, got "shop"`},
		{"names every missing key", "build: {}\n", "1:1: key \"app\" is missing\n1:1: key \"services\" is missing"},
		{"suggests a key", web + "    replica: 3\n", `5:5: unknown key "replica" (did you mean "replicas"?)`},
		{"suggests a swapped key", "nev: {}\n" + web, `1:1: unknown key "nev" (did you mean "env"?)`},
		{"suggests nothing for a stranger", web + "    autoscaling: {}\n", `5:5: unknown key "autoscaling"`},
		{"refuses a key twice", web + "    port: 1\n    port: 2\n", `6:5: key "port" is here twice, first in line 5`},
		{"refuses a list as key", web + "    ? [a]\n    : b\n", `5:7: want a name as key, got a list`},
		{"refuses a service without type", "app: shop\nservices:\n  web:\n    port: 1\n", `3:3: service "web": key "type" is missing`},
		{"refuses an empty service", "app: shop\nservices:\n  web:\n", `3:7: service "web": want keys and values, got nothing`},
		{"refuses no service", "app: shop\nservices: {}\n", `2:1: services: want at least one service`},
		{"refuses no environment", web + "environments: {}\n", `5:1: environments: want at least one environment`},
		{"refuses an upper-case app", strings.Replace(web, "shop", "Shop", 1), `1:6: app: want lower-case letters, digits and inner hyphens, a letter first, got "Shop"`},
		{"refuses a long app", strings.Replace(web, "shop", strings.Repeat("s", 41), 1), `1:6: app: want at most 40 characters, got 41`},
		{"refuses a number as app", strings.Replace(web, "shop", "12", 1), `1:6: app: want text, got 12: put it in quotes`},
		{"refuses a service name", "app: shop\nservices:\n  web_1:\n    type: web\n", `3:3: service name: want lower-case letters, digits and inner hyphens, a letter first, got "web_1"`},
		{"refuses a type", strings.Replace(web, "type: web", "type: wbe", 1), `4:11: type: want web, worker or job, got "wbe" (did you mean "web"?)`},
		{"refuses port 0", web + "    port: 0\n", `5:11: port: want a whole number from 1 to 65535, got "0"`},
		{"refuses a port in quotes", web + "    port: \"80\"\n", `5:11: port: want a whole number from 1 to 65535, got "80"`},
		{"refuses half a replica", web + "    replicas: 1.5\n", `5:15: replicas: want a whole number from 0 to 1000, got "1.5"`},
		{"refuses too many replicas", web + "    replicas: 1001\n", `5:15: replicas: want a whole number from 0 to 1000, got "1001"`},
		{"refuses a list of replicas", web + "    replicas: [1]\n", `5:15: replicas: want a whole number from 0 to 1000, got a list`},
		{"refuses words as cpu", web + "    cpu: lots\n", `5:10: cpu: want CPUs such as 0.5, 2 or "250m", got "lots"`},
		{"refuses too fine a cpu", web + "    cpu: 0.0001\n", `5:10: cpu: want CPUs such as 0.5, 2 or "250m", got "0.0001"`},
		{"refuses no cpu", web + "    cpu: 0\n", `5:10: cpu: want 1m to 256 CPUs, got "0"`},
		{"suggests a unit of memory", web + "    memory: 512\n", `5:13: memory: want 4Mi to 4Ti, got 512 bytes (did you mean 512Mi?)`},
		{"refuses a unit of memory", web + "    memory: 512MB\n", `5:13: memory: want memory such as 256Mi or 1Gi, got "512MB"`},
		{"refuses too much memory", web + "    memory: 5Ti\n", `5:13: memory: want 4Mi to 4Ti, got "5Ti"`},
		{"refuses an env list", web + "    env: [A=1]\n", `5:10: env: want keys and values, got a list`},
		{"refuses an env name", web + "    env: {A-B: 1}\n", `5:11: env: want a name of letters, digits and _, no digit first, got "A-B"`},
		{"refuses an env mapping", web + "    env: {A: {b: 1}}\n", `5:14: A: want a value ("" for an empty one), got keys and values`},
		{"refuses an env value of nothing", web + "    env: {A: }\n", `5:14: A: want a value ("" for an empty one), got nothing`},
		{"refuses a YAML tag", web + "    env: {A: !!binary aGk=}\n", `5:14: A: want a value ("" for an empty one), got the YAML tag "!!binary"`},
		{"refuses a NUL", web + "    env: {A: \"\\0\"}\n", `5:14: A: want a value ("" for an empty one), got a NUL character`},
		{"refuses PORT of a web service", web + "    env: {PORT: 1}\n", `5:11: PORT is set by Inhaul to the port of the web service: say port: instead`},
		{"refuses PORT of all services", "env: {PORT: 1}\n" + web, `1:7: PORT is set by Inhaul to the port of the web service: say port: instead`},
		{"refuses PORT in an environment", web + "environments:\n  a:\n    services: {web: {env: {PORT: 1}}}\n", `7:28: PORT is set by Inhaul to the port of the web service: say port: instead`},
		{"refuses an empty command", web + "    run: \"\"\n", `5:10: run: want text, got nothing`},
		{"refuses an empty list to run", web + "    run: []\n", `5:10: run: want 1 to 100 items, got 0`},
		{"refuses a number to run", web + "    run: [sleep, 5]\n", `5:18: run: want text, got 5: put it in quotes`},
		{"refuses a relative health path", web + "    health: {path: healthz}\n", `5:20: path: want a URL path such as /healthz, got "healthz"`},
		{"refuses a health timeout without unit", web + "    health: {timeout: 30}\n", `5:23: timeout: want a duration such as 90s or 2m, got "30"`},
		{"refuses a long health timeout", web + "    health: {timeout: 2h}\n", `5:23: timeout: want 1s to 1h, got "2h"`},
		{"refuses a worker's port", "app: shop\nservices:\n  w: {type: worker, port: 80}\n", `3:21: port: not for type worker, only for web`},
		{"refuses a worker's health path", "app: shop\nservices:\n  w: {type: worker, health: {path: /}}\n", `3:30: path: a worker serves nothing; type: web has a health path`},
		{"refuses an absolute context", "build: {context: /x}\n" + web, `1:18: context: want a path relative to the folder of inhaul.yaml, got "/x"`},
		{"refuses a Dockerfile outside the context", "build: {dockerfile: ../x}\n" + web, `1:21: dockerfile: want a path below the build's context, got "../x"`},
		{"refuses an absolute Dockerfile", "build: {dockerfile: /Dockerfile}\n" + web, `1:21: dockerfile: want a path below the build's context, got "/Dockerfile"`},
		{"refuses an unknown service in an environment", web + "environments:\n  a:\n    services: {wep: {replicas: 1}}\n", `7:16: unknown service "wep" (did you mean "web"?): an environment only overrides what services declares`},
		{"refuses a type in an environment", web + "environments:\n  a:\n    services: {web: {type: web}}\n", `7:22: unknown key "type"`},
		{"refuses one branch for two environments", web + "environments:\n  b: {branch: main}\n  a: {branch: [dev, main]}\n", `7:21: branch "main" means environment "b" already`},
		{"refuses a branch twice", web + "environments:\n  b: {branch: [main, main]}\n", `6:22: branch "main" means environment "b" already`},
		{"refuses a ref as branch", web + "environments:\n  b: {branch: refs/heads/main}\n", `6:15: branch: want a branch such as main, got the ref "refs/heads/main"`},
		{"refuses an impossible branch", web + "environments:\n  b: {branch: \"a b\"}\n", `6:15: branch: "a b" cannot be a branch`},
		{"keeps the names of previews", web + "environments:\n  pr-7: {}\n", `6:3: environment "pr-7": names like it belong to previews of pull requests; what they all say differently goes below preview`},
		{"refuses two documents", web + "---\napp: b\n", `5:1: want one YAML document, got another one after ---`},
		{"refuses a tab", "app: shop\nservices:\n\tweb: {}\n", `3:1: YAML is indented with spaces, got a tab`},
		{"refuses broken YAML", "app: shop\nservices:\n  web: [\n", `3:3: the YAML is broken: did not find expected node content`},
		{"refuses an unknown anchor", web + "    env: *common\n", `1:1: the YAML is broken: unknown anchor 'common' referenced`},
		{"refuses control characters", "app: sh\x01op\n", `1:8: want UTF-8 text without control characters`},
		{"refuses Latin-1", "app: shop\n# caf\xe9\n", `2:6: want UTF-8 text without control characters`},
		{"refuses a merge of a word", web + "    env: {<<: word}\n", `5:15: <<: want an alias of keys and values, got "word"`},
		{"refuses an AWS access key", web + "    env: {A: AKIAIOSFODNN7EXAMPLE}\n", `5:14: A: holds what looks like an AWS access key` + secret},
		{"refuses a GitHub token", web + "    run: curl -H ghp_0123456789abcdefABCDEF0123456789abcd\n", `5:10: run: holds what looks like a GitHub token` + secret},
		{"refuses a stateless GitHub token", web + "    env: {A: ghs_12345_eyJhbGciOiJSUzI1NiJ9}\n", `5:14: A: holds what looks like a GitHub token` + secret},
		{"refuses a private key", "build:\n  args:\n    KEY: |\n      -----BEGIN EC PRIVATE KEY-----\n" + web, `3:10: KEY: holds what looks like a private key` + secret},
		{"refuses a password in a URL", web + "    env: {DB: \"postgres://shop:hunter2@db/shop\"}\n", `5:15: DB: holds what looks like a URL with a password` + secret},
	})
}

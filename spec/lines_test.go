package spec

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const placed = `app: shop
predeploy: bin/migrate
secrets:
  DATABASE_URL: k8s://shop#DATABASE_URL
services:
  web:
    type: web
    port: 3000
    health: {path: /healthz}
    env: {LOG_LEVEL: info}
    secrets:
      TOKEN: k8s://shop#TOKEN
environments:
  staging:
    branch: main
    services:
      web:
        port: 4000
  preview:
    predeploy: {run: bin/migrate, timeout: 1m}
`

func TestLinesAreThoseOfTheEnvironment(t *testing.T) {
	t.Parallel()
	f, err := Parse("inhaul.yaml", []byte(placed))
	if err != nil {
		t.Fatal(err)
	}
	common := map[string]int{
		"predeploy": 2, "secrets": 3, "secrets.DATABASE_URL": 4, "services": 5, "services.web": 6, "services.web.port": 8,
		"services.web.health": 9, "services.web.health.path": 9, "services.web.secrets": 11, "services.web.secrets.TOKEN": 12,
	}
	for environment, change := range map[string]map[string]int{
		"production": nil,
		"staging":    {"services": 16, "services.web": 17, "services.web.port": 18},
		"pr-7":       {"predeploy": 20, "predeploy.run": 20, "predeploy.timeout": 20},
	} {
		want := map[string]int{}
		for _, level := range []map[string]int{common, change} {
			maps.Copy(want, level)
		}
		if diff := cmp.Diff(want, f.Lines(environment)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", environment, diff)
		}
	}
}

func TestLinesOfOneAppAmongSeveral(t *testing.T) {
	t.Parallel()
	files, err := ParseAll("inhaul.yaml", []byte("apps:\n  api:\n    services:\n      web: {type: web}\n  shop:\n    services:\n      web:\n        type: web\n        port: 3000\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"services": 6, "services.web": 7, "services.web.port": 9}, files[1].Lines("production")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestLinesAreBounded(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("app: shop\nservices:\n")
	for i := range maxNames {
		fmt.Fprintf(&b, "  s%d: {type: web, port: 3000, cpu: 100m, memory: 128Mi, replicas: 2, run: x, health: {path: /, timeout: 10s}}\n", i)
	}
	f, err := Parse("inhaul.yaml", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	lines := f.Lines("production")
	if len(lines) != MaxLines {
		t.Errorf("got %d lines, want %d", len(lines), MaxLines)
	}
	for i := range maxNames {
		if lines[fmt.Sprintf("services.s%d", i)] != i+3 {
			t.Errorf("service s%d: got line %d, want %d", i, lines[fmt.Sprintf("services.s%d", i)], i+3)
		}
	}
}

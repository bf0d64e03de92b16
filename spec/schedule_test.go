package spec

import (
	"archive/zip"
	"cmp"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the list is checked against the same database everywhere
)

// TestZones makes the list of time zones from the database that comes with Go;
// -update writes it.
func TestZones(t *testing.T) {
	t.Parallel()
	if *update {
		golden(t, "zones.txt", strings.Join(zonesOfGo(t), "\n")+"\n")
	}
	names := strings.Fields(zones)
	if len(names) < 400 || !slices.IsSorted(names) {
		t.Errorf("got %d zones, want at least 400, sorted", len(names))
	}
	for _, name := range names {
		if _, err := time.LoadLocation(name); err != nil {
			t.Errorf("%s is no time zone: %v", name, err)
		}
		if !zoneShape.MatchString(name) {
			t.Errorf("%s would be refused in an intent", name)
		}
	}
}

func zonesOfGo(t *testing.T) []string {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	database, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = database.Close() }() // only read
	var names []string
	for _, f := range database.File {
		if !strings.HasSuffix(f.Name, "/") && f.Name != "Factory" {
			names = append(names, f.Name)
		}
	}
	slices.SortFunc(names, cmp.Compare[string])
	return names
}

func TestParseCron(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0 3 * * *":             "0 3 * * *",
		"  0   3 * * * ":        "0 3 * * *",
		"@monthly":              "0 0 1 * *",
		"*/15 9-17 * * MON-FRI": "*/15 9-17 * * MON-FRI",
		"0 0 29 2 *":            "0 0 29 2 *", // once in four years
		"0,30 * 1,15 JAN-MAR ?": "0,30 * 1,15 JAN-MAR ?",
		"":                      "",
		"* * * *":               "",
		"* * * * * *":           "",
		"60 * * * *":            "",
		"* 24 * * *":            "",
		"* * 0 * *":             "",
		"* * * 13 *":            "",
		"* * * * MONDAY":        "",
		"5-1 * * * *":           "",
		"TZ=UTC":                "",
		"CRON_TZ=UTC * * * *":   "",
		"@every 1h":             "",
		"@reboot":               "",
		"0 0 30 2 *":            "",
	} {
		got, err := parseCron(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
}

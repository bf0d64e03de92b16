package spec

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseAll(t *testing.T) {
	t.Parallel()
	names := func(text string) []string {
		files, err := ParseAll("apps/inhaul.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, f := range files {
			if f.Path != "apps/inhaul.yaml" {
				t.Errorf("got path %q, want that of the file", f.Path)
			}
			all = append(all, f.App)
		}
		return all
	}
	const several = "apps:\n  shop: {services: {web: {type: web}}}\n  billing: {services: {web: {type: web}}}\n"
	if diff := cmp.Diff([]string{"billing", "shop"}, names(several)); diff != "" {
		t.Errorf("got +, want -\n%s", diff)
	}
	if diff := cmp.Diff([]string{"shop"}, names(onlyWeb)); diff != "" {
		t.Errorf("got +, want -\n%s", diff)
	}
	t.Run("lets Parse have the only app of several", func(t *testing.T) {
		t.Parallel()
		f, err := Parse("inhaul.yaml", []byte("apps: {shop: {services: {web: {type: web}}}}\n"))
		if err != nil || f.App != "shop" {
			t.Errorf("got %v, %v, want shop", f, err)
		}
	})
	t.Run("names the mistakes of all apps", func(t *testing.T) {
		t.Parallel()
		_, err := ParseAll("inhaul.yaml", []byte("apps:\n  b: {services: {web: {type: wep}}}\n  a: {services: {web: {type: web, scale: {min: 1}}}}\n"))
		want := "inhaul.yaml:2:30: type: want web, worker or job, got \"wep\" (did you mean \"web\"?)\ninhaul.yaml:3:35: scale: key \"max\" is missing"
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
}

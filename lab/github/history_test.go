package github

import (
	"net/http"
	"testing"
)

func TestTheHistoryHasEveryWriteOfACheckRunInOrder(t *testing.T) {
	t.Parallel()
	st := start(t)
	st.run(`{"sha":"` + testSHA + `"}`)
	client := st.app()
	id, err := client.UpsertCheckRun(t.Context(), running())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.UpsertCheckRun(t.Context(), completed()); err != nil {
		t.Fatal(err)
	}
	var all, last []checkChange
	st.lab(http.MethodGet, "/_lab/check-changes", "", &all)
	if len(all) != 2 || all[0].Status != "in_progress" || all[1].Conclusion != "failure" || all[1].CheckRun != id || all[1].At.Before(all[0].At) {
		t.Fatalf("got %+v, want the check run %d in progress, then failed", all, id)
	}
	st.lab(http.MethodGet, "/_lab/check-changes?after=1", "", &last)
	if len(last) != 1 || last[0] != all[1] {
		t.Errorf("got %+v, want what came after the first: %+v", last, all[1])
	}
}

package query

// merger makes one list of many that are in order, in steps. The lists are its own: their chunks go as they are read.
type merger struct {
	out  listWriter
	runs []*run // a heap, the least entry on top
}

// run is a list that is read from its beginning.
type run struct {
	*list
	chunk int
	page  []entry // what is left of the chunk
}

func newMerger(reversed bool, lists []*list) *merger {
	m := &merger{out: listWriter{list: list{reversed: reversed}}}
	for _, l := range lists {
		if r := (&run{list: l}); r.turn() {
			m.runs = append(m.runs, r)
		}
	}
	for i := len(m.runs)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
	return m
}

// turn opens the next chunk when the one before is read; false at the end. Runs are in memory.
func (r *run) turn() bool {
	if len(r.page) == 0 && r.chunk < len(r.chunks) {
		r.page, r.chunks[r.chunk] = r.chunks[r.chunk].body.Load().open(r.page), nil
		r.chunk++
	}
	return len(r.page) > 0
}

// sink moves a run down the heap to where it belongs.
func (m *merger) sink(i int) {
	for {
		least := i
		for _, child := range []int{2*i + 1, 2*i + 2} {
			if child < len(m.runs) && m.out.compare(&m.runs[child].page[0], &m.runs[least].page[0]) < 0 {
				least = child
			}
		}
		if least == i {
			return
		}
		m.runs[i], m.runs[least] = m.runs[least], m.runs[i]
		i = least
	}
}

// advance goes on until everything is in one list or the budget is spent.
func (m *merger) advance(budget Budget) (done bool) {
	for len(m.runs) > 0 {
		r := m.runs[0]
		m.out.put(r.page[0])
		if r.page = r.page[1:]; !r.turn() {
			last := len(m.runs) - 1
			m.runs[0] = m.runs[last]
			m.runs = m.runs[:last]
		}
		m.sink(0)
		if !budget() {
			return false
		}
	}
	m.out.flush(0)
	return true
}

func (m *merger) size() int {
	n := m.out.size() + 64*len(m.out.open)
	for _, r := range m.runs {
		for _, c := range r.chunks[r.chunk:] {
			n += c.size()
		}
	}
	return n
}

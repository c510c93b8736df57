package exmdb

// The ops on notifications have the numbers 95, 98 and 99, for ever.
var (
	// OpEvents waits, if that is asked for.
	OpEvents      = Op[EventsRequest, EventsResponse]{OpInfo{95, "Events", false}}
	OpTableEvents = Op[TableEventsRequest, TableEventsResponse]{OpInfo{98, "TableEvents", false}}
)

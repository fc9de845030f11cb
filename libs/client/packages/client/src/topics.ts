/**
 * The topics of a stream: their names, who may read them, and the views that they are folded into.
 *
 * A view is made of the events of one topic. All topics of quotes share the view `prices`; every
 * series of bars has its own. Start reading at `applyEvents`.
 */
